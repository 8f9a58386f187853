//! Every probe is worth its line: some seed of some scenario reaches it.

use splitbrain::campaign::{Campaign, Watch};
use splitbrain_scenarios::catalog;
use std::collections::BTreeMap;

/// Those of the protocols and those of the kernel, which are the same for all protocols.
#[test]
fn the_catalog_reaches_every_probe() {
    let mut reached: BTreeMap<String, u64> = BTreeMap::new();
    for case in catalog().unwrap() {
        let campaign = Campaign {
            seeds: 0..20,
            ..Campaign::default()
        };
        for probe in campaign.run(&*case, Watch::nobody()).probes {
            *reached.entry(probe.name).or_default() += probe.seeds;
        }
    }
    assert!(reached.len() > 40, "{reached:#?}");
    reached.retain(|_, seeds| *seeds == 0);
    assert!(reached.is_empty(), "never reached: {reached:#?}");
}
