//! The pages of `docs/faults/`, as tests read them.
#![allow(dead_code, reason = "each test looks at what it needs")]

use std::fs;
use std::path::{Path, PathBuf};

/// A block of code on a page.
#[derive(Debug)]
pub(crate) struct Block {
    /// What stands behind the three backquotes.
    pub(crate) language: String,
    /// What stands in backquotes in the last heading above it; where that has none, the name of the page.
    pub(crate) part: String,
    pub(crate) text: String,
    /// The page and the line, for messages.
    pub(crate) place: String,
}

impl Block {
    /// The file of the repository that it shows, if its first line says so: `# scenarios/raft/clog.toml`. And the rest.
    pub(crate) fn file(&self) -> Option<(&str, &str)> {
        let (first, rest) = self.text.split_once('\n')?;
        let file = first.strip_prefix("# scenarios/")?;
        let extension = Path::new(file).extension()?;
        (extension == "toml").then_some((file, rest))
    }
}

#[derive(Debug)]
pub(crate) struct Page {
    /// That of its file.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All pages but the index, in order.
pub(crate) fn pages() -> Vec<Page> {
    let folder = repository().join("docs/faults");
    let files = fs::read_dir(&folder).expect("the folder of the pages is there");
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    let pages = files.iter().map(|file| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).unwrap();
        let blocks = blocks(&name, &text);
        Page { name, text, blocks }
    });
    let pages: Vec<Page> = pages.filter(|page| page.name != "README").collect();
    assert!(pages.len() > 5, "no pages in {}", folder.display());
    pages
}

fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut part = page.to_owned();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some("") if open => open = false,
            Some(language) if !open => {
                open = true;
                blocks.push(Block {
                    language: language.to_owned(),
                    part: part.clone(),
                    text: String::new(),
                    place: format!("docs/faults/{page}.md:{}", number + 1),
                });
            }
            _ if open => {
                let block = blocks.last_mut().expect("one is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            _ if line.starts_with('#') => {
                line.split('`').nth(1).unwrap_or(page).clone_into(&mut part);
            }
            _ => {}
        }
    }
    assert!(!open, "docs/faults/{page}.md: a block has no end");
    blocks
}
