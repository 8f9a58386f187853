//! What is said of a handful of numbers.

/// The least of the values that `percent` of them do not exceed (nearest rank): always one that was measured. The
/// median of an even number of values is therefore the lower one of the two in the middle.
pub(crate) fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied()
}

/// Half of the values do not exceed it.
pub(crate) fn median(values: &[u64]) -> Option<u64> {
    percentile(values, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(percentile(&[], 90), None);
        assert_eq!(percentile(&[7], 90), Some(7));
        assert_eq!(percentile(&[5, 1, 3, 2, 4], 90), Some(5));
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&hundred, 90), Some(90));
        assert_eq!(percentile(&hundred, 0), Some(1));
        assert_eq!(percentile(&hundred, 100), Some(100));
    }

    #[test]
    fn the_median_of_an_even_number_is_the_lower_one() {
        assert_eq!(median(&[9, 1, 5]), Some(5));
        assert_eq!(median(&[1, 2]), Some(1));
        assert_eq!(median(&[4, 3, 2, 1]), Some(2));
    }
}
