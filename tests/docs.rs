//! The pages of `docs/faults/` show what there is: their scenarios are those of the catalog, to the byte. What they show
//! of the command line is run by `cli.rs`.

mod pages;

use pages::{Block, pages, repository};
use splitbrain::scenario::FaultKind;
use splitbrain_scenarios::{NAMES, scenario_from_bytes};
use std::fs;
use std::path::Path;

/// What a block is put into that shows no whole scenario.
const SKELETON: &str = r#"
summary = "an example"
protocol = "raft-kv"
duration = "30s"
cluster = { servers = 5, clients = 4 }
"#;

fn toml_blocks() -> Vec<Block> {
    let blocks = pages().into_iter().flat_map(|page| page.blocks);
    let blocks: Vec<Block> = blocks.filter(|block| block.language == "toml").collect();
    assert!(blocks.len() > 10, "{}", blocks.len());
    blocks
}

#[test]
fn a_scenario_on_a_page_is_the_file_that_it_names() {
    for block in toml_blocks() {
        let Some((file, shown)) = block.file() else {
            continue;
        };
        let path = repository().join("scenarios").join(file);
        let there = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {}: {error}", block.place, path.display()));
        assert_eq!(shown, there, "{}: not what is in {file}", block.place);
        assert!(NAMES.contains(&file.trim_end_matches(".toml")), "{file}");
    }
}

/// A source of faults alone is one, too.
#[test]
fn every_other_example_can_be_run() {
    for block in toml_blocks().iter().filter(|block| block.file().is_none()) {
        let whole = block.text.contains("summary =");
        let text = if whole {
            block.text.clone()
        } else {
            format!("{SKELETON}{}", block.text)
        };
        let place = Path::new(&block.place);
        if let Err(error) = scenario_from_bytes(text.clone().into_bytes(), place, &[]) {
            panic!("{error}\n{text}");
        }
    }
}

#[test]
fn the_index_names_every_page_and_every_kind_of_fault() {
    let index = fs::read_to_string(repository().join("docs/faults/README.md")).unwrap();
    for page in pages() {
        let link = format!("]({}.md)", page.name);
        assert!(index.contains(&link), "no link to {}.md", page.name);
        assert!(page.text.starts_with("# "), "{}.md has no title", page.name);
        // That of the swarm is as long as all of them: its page names it.
        let named = page.name == "swarm" && page.text.contains("(../../scenarios/raft/swarm.toml)");
        let scenarios = page.blocks.iter().filter_map(Block::file);
        assert!(
            named || scenarios.count() > 0,
            "{}.md shows no scenario",
            page.name
        );
    }
    for kind in FaultKind::ALL {
        let name = format!("`{}`", kind.name());
        assert!(index.contains(&name), "no word of {name}");
    }
}
