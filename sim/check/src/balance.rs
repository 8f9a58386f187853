//! Load balancing: whether a sequence of picks is as fair as its policy claims.
//!
//! Whatever the policy, it picks among the instances that it may pick, and somebody if there is anybody. Beyond that:
//!
//! * **Round robin**: while the instances stay the same, the counts of any two differ by 1 at most, after every pick.
//! * **Spread**: over all picks while the instances stay the same, the most picked is not more than so many times the
//!   least picked. (Random: a bound that the law of large numbers keeps, for enough picks; weighted policies are not meant.)
//! * **Least outstanding**: nobody has fewer requests outstanding than the one picked.
//! * **Two choices** (M. Mitzenmacher, "The power of two choices in randomized load balancing", 2001): of two different instances that were
//!   looked at, the one with fewer outstanding; so never the only one with the most, if there are two.
//! * **Bounded loads** (V. Mirrokni, M. Thorup and M. Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018): with
//!   the request that is placed, nobody has more than the average, times a factor, rounded up.
//! * **Sticky**: while the instances stay the same, a key stays where it is. With bounded loads this is not claimed.
//!
//! Time: O(p i) for `p` picks among `i` instances.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of an instance.
pub type Name = Arc<str>;

/// A pick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// Who may be picked (passing, not ejected, not excluded by the caller), and how many requests each has outstanding before it.
    pub eligible: BTreeMap<Name, u64>,
    /// Who was; nobody, if nobody could be.
    pub picked: Option<Name>,
    /// What the request was about, where the policy looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
}

/// What a policy claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Everybody in turn.
    RoundRobin,
    /// Everybody about as often.
    Spread {
        /// The most picked may be picked so many times as often as the least picked: a ratio.
        ratio_max: (u64, u64),
        /// Only asked for where there were so many picks for each instance.
        picks_each_min: u64,
    },
    /// The one with the fewest outstanding.
    LeastOutstanding,
    /// The better one of two.
    TwoChoices,
    /// Nobody above the average times this ratio, rounded up.
    BoundedLoads {
        /// At least 1.
        factor: (u64, u64),
    },
    /// Each key to its own.
    Sticky,
}

/// A pick that is not as claimed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pick {pick}: {unfair}")]
pub struct Violation {
    /// Its index.
    pub pick: usize,
    /// How.
    pub unfair: Unfair,
}

/// How a pick is not as claimed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfair {
    /// Somebody was picked who must not be.
    #[error("{picked} was picked, but may not be")]
    NotEligible {
        /// Who.
        picked: Name,
    },
    /// Nobody was picked, although somebody could have been.
    #[error("nobody was picked, although {eligible} could have been")]
    Nobody {
        /// So many.
        eligible: usize,
    },
    /// Some were picked more often than others.
    #[error(
        "{most} was picked {most_picks} times, and {least} {least_picks} times, while the instances stayed the same"
    )]
    Uneven {
        /// Who was picked most.
        most: Name,
        /// How often.
        most_picks: u64,
        /// Who was picked least.
        least: Name,
        /// How often.
        least_picks: u64,
    },
    /// Somebody had fewer outstanding.
    #[error(
        "{picked} was picked with {outstanding} outstanding, and {other} had {other_outstanding}"
    )]
    Busier {
        /// Who was picked.
        picked: Name,
        /// How many that one had outstanding.
        outstanding: u64,
        /// Who should have been.
        other: Name,
        /// How many that one had.
        other_outstanding: u64,
    },
    /// Too many outstanding.
    #[error(
        "{picked} was picked and has {outstanding} outstanding then, of {total} in all; {outstanding_max} are allowed"
    )]
    Overloaded {
        /// Who was picked.
        picked: Name,
        /// With this request.
        outstanding: u64,
        /// Of all, with this request.
        total: u64,
        /// How many it may have.
        outstanding_max: u64,
    },
    /// A key went elsewhere, for no reason.
    #[error("{key} went to {picked}, and before to {before}, while the instances stayed the same")]
    Moved {
        /// Which.
        key: Arc<str>,
        /// Where it went.
        picked: Name,
        /// Where it had gone before.
        before: Name,
    },
}

/// Everything that is not as claimed, in order.
pub fn check(claim: Claim, picks: &[Pick]) -> Vec<Violation> {
    let mut found = Vec::new();
    let same = |left: &Pick, right: &Pick| left.eligible.keys().eq(right.eligible.keys());
    let mut first = 0;
    // Stretches of picks among the same instances.
    for stretch in picks.chunk_by(same) {
        check_stretch(claim, first, stretch, &mut found);
        first += stretch.len();
    }
    found
}

fn check_stretch(claim: Claim, first: usize, stretch: &[Pick], found: &mut Vec<Violation>) {
    let Some(Pick { eligible, .. }) = stretch.first() else {
        return;
    };
    let mut counts: BTreeMap<&Name, u64> = eligible.keys().map(|name| (name, 0)).collect();
    let mut homes: BTreeMap<&Arc<str>, &Name> = BTreeMap::new();
    for (pick, chosen) in (first..).zip(stretch) {
        let mut violation = |unfair| found.push(Violation { pick, unfair });
        let Some(picked) = &chosen.picked else {
            if !eligible.is_empty() {
                violation(Unfair::Nobody {
                    eligible: eligible.len(),
                });
            }
            continue;
        };
        let Some(count) = counts.get_mut(picked) else {
            violation(Unfair::NotEligible {
                picked: picked.clone(),
            });
            continue;
        };
        *count += 1;
        let unfair = match claim {
            Claim::RoundRobin => uneven(&counts, |most, least| most > least + 1),
            Claim::Spread { .. } => None,
            Claim::LeastOutstanding => busier(&chosen.eligible, picked, 0),
            Claim::TwoChoices => busier(&chosen.eligible, picked, 1),
            Claim::BoundedLoads { factor } => overloaded(&chosen.eligible, picked, factor),
            Claim::Sticky => moved(&mut homes, chosen, picked),
        };
        if let Some(unfair) = unfair {
            violation(unfair);
            // A turn that was lost stays lost: the count starts anew.
            for count in counts.values_mut() {
                *count = 0;
            }
        }
    }
    if let Claim::Spread {
        ratio_max: (numerator, denominator),
        picks_each_min,
    } = claim
        && counts.values().sum::<u64>() >= picks_each_min.saturating_mul(counts.len() as u64)
    {
        let product = |left: u64, right: u64| u128::from(left) * u128::from(right);
        let too_uneven = |most, least| product(most, denominator) > product(least, numerator);
        let pick = first + stretch.len() - 1;
        found.extend(uneven(&counts, too_uneven).map(|unfair| Violation { pick, unfair }));
    }
}

fn uneven(counts: &BTreeMap<&Name, u64>, too_uneven: impl Fn(u64, u64) -> bool) -> Option<Unfair> {
    let (most, most_picks) = counts.iter().max_by_key(|(_, count)| **count)?;
    let (least, least_picks) = counts.iter().min_by_key(|(_, count)| **count)?;
    too_uneven(*most_picks, *least_picks).then(|| Unfair::Uneven {
        most: Name::clone(most),
        most_picks: *most_picks,
        least: Name::clone(least),
        least_picks: *least_picks,
    })
}

/// Whether so many others, and no more, had as many outstanding as the one picked, or more.
fn busier(outstanding: &BTreeMap<Name, u64>, picked: &Name, others_min: usize) -> Option<Unfair> {
    let own = *outstanding.get(picked)?;
    let mut others = outstanding.iter().filter(|(name, _)| *name != picked);
    let as_busy = others.clone().filter(|(_, other)| **other >= own).count();
    let (least, least_outstanding) = others.clone().min_by_key(|(_, other)| **other)?;
    let is_wrong = match others_min {
        0 => others.any(|(_, other)| *other < own),
        _ => as_busy < others_min,
    };
    is_wrong.then(|| Unfair::Busier {
        picked: picked.clone(),
        outstanding: own,
        other: least.clone(),
        other_outstanding: *least_outstanding,
    })
}

fn overloaded(
    outstanding: &BTreeMap<Name, u64>,
    picked: &Name,
    (numerator, denominator): (u64, u64),
) -> Option<Unfair> {
    let own = outstanding.get(picked)? + 1;
    let total = outstanding.values().sum::<u64>() + 1;
    let shares = u128::from(denominator) * outstanding.len() as u128;
    let bound = (u128::from(total) * u128::from(numerator)).div_ceil(shares.max(1));
    (u128::from(own) > bound).then(|| Unfair::Overloaded {
        picked: picked.clone(),
        outstanding: own,
        total,
        outstanding_max: u64::try_from(bound).unwrap_or(u64::MAX),
    })
}

fn moved<'p>(
    homes: &mut BTreeMap<&'p Arc<str>, &'p Name>,
    chosen: &'p Pick,
    picked: &'p Name,
) -> Option<Unfair> {
    let key = chosen.key.as_ref()?;
    let before = homes.insert(key, picked)?;
    (before != picked).then(|| Unfair::Moved {
        key: key.clone(),
        picked: picked.clone(),
        before: before.clone(),
    })
}

#[cfg(test)]
mod tests;
