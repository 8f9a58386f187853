//! Majorities: pure arithmetic, in one place.
//!
//! Any two majorities of the same voters have a voter in common. Everything safe about consensus leans on that.

/// How many voters out of `voters` make a majority.
pub const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The greatest value that a majority of voters has reached, given what each voter has reached; the default
/// value if there are no voters.
///
/// Of the match indexes of all servers this is the greatest index up to which a majority stores the log.
pub fn reached<T: Copy + Ord + Default>(each: impl Iterator<Item = T> + Clone) -> T {
    let all = each.clone();
    let needed = majority(all.clone().count());
    // Quadratic, but over a handful of voters, and without a buffer to sort.
    each.filter(|&value| all.clone().filter(|&other| other >= value).count() >= needed)
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_majorities_always_meet_and_no_smaller_set_would_do() {
        for voters in 1..=9 {
            assert!(2 * majority(voters) > voters, "{voters}");
            assert!(2 * (majority(voters) - 1) <= voters, "{voters}");
        }
    }

    #[test]
    fn reached_is_the_median_in_any_order() {
        for (each, value) in [
            (&[][..], 0),
            (&[7], 7),
            (&[7, 0], 0),
            (&[3, 7], 3),
            (&[0, 9, 4], 4),
            (&[9, 9, 0, 0], 0),
            (&[5, 1, 4, 2, 3], 3),
            (&[0, 0, 8, 8, 8], 8),
            (&[0, 0, 0, 8, 8], 0),
        ] {
            assert_eq!(reached(each.iter().copied()), value, "{each:?}");
        }
    }
}
