//! The probes of a campaign, for people: those that never were reached in full, those that always were as a number.

use comfy_table::{CellAlignment, Table, presets};
use splitbrain::campaign::{Probe, Summary};
use std::io::Write;

/// Says which probes a campaign reached. Of one seed there is nothing to be said: what it misses, others may reach.
pub(super) fn print(
    summary: &Summary,
    required: &[String],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    if summary.seeds < 2 || summary.probes.is_empty() {
        return Ok(());
    }
    let (never, reached): (Vec<&Probe>, Vec<&Probe>) =
        summary.probes.iter().partition(|probe| probe.seeds == 0);
    let mut some: Vec<&Probe> = reached
        .iter()
        .copied()
        .filter(|probe| probe.seeds < summary.seeds)
        .collect();
    // The rarest first: they are the ones that fewer seeds would miss.
    some.sort_by_key(|probe| (probe.seeds, probe.times));
    writeln!(
        out,
        "  {} probes: {} reached in every seed, {} in some, {} in none",
        summary.probes.len(),
        reached.len() - some.len(),
        some.len(),
        never.len()
    )?;
    if !some.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["seeds", "times", "reached in some seeds"]);
        for probe in some {
            table.add_row([
                probe.seeds.to_string(),
                probe.times.to_string(),
                probe.name.clone(),
            ]);
        }
        for column in table.column_iter_mut().take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for line in table.lines() {
            writeln!(out, "  {}", line.trim_end())?;
        }
    }
    if !never.is_empty() {
        writeln!(out, "  NEVER reached:")?;
    }
    for probe in never {
        let is_required = required.contains(&probe.name);
        let required = if is_required { " (required)" } else { "" };
        writeln!(out, "    {}{required}", probe.name)?;
    }
    Ok(())
}
