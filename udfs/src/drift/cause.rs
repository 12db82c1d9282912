//! Why a feature looks different: a broken pipeline first, drift of the world last.
//!
//! Each check names the commonest trace of one mistake; the first that holds is the answer.

use std::collections::{BTreeMap, BTreeSet};

use kernels::statistics::sample::Ranked;

/// What is known of one side.
#[derive(Debug, Default)]
pub struct Side {
    /// Numbers in order.
    pub numbers: Ranked,
    /// Categories with their counts.
    pub categories: BTreeMap<String, u64>,
    /// Share of NULL among the rows.
    pub null_rate: f64,
}

/// A share must move by this much to be a jump.
const JUMP: f64 = 0.1;
/// A value that was rarer than this before was not expected to be common.
const RARE: f64 = 0.01;
/// A ratio of quartiles this near a power of ten is a change of units.
const UNIT_TOLERANCE: f64 = 0.05;
/// Distinct values that fall to this share have been rounded or truncated.
const COLLAPSE: f64 = 0.1;

impl Side {
    fn distinct(&self) -> u64 {
        self.numbers.runs().count() as u64 + self.categories.len() as u64
    }

    fn rows(&self) -> f64 {
        (self.numbers.count() + self.categories.values().sum::<u64>()) as f64
    }

    /// The commonest value and its share.
    fn mode(&self) -> Option<(String, f64)> {
        let numbers = self.numbers.runs().map(|(value, count)| (value.to_string(), count));
        let categories = self.categories.iter().map(|(name, count)| (name.clone(), *count));
        let mode = numbers.chain(categories).max_by_key(|(_, count)| *count);
        mode.map(|(value, count)| (value, count as f64 / self.rows()))
    }

    fn share(&self, value: &str) -> f64 {
        let number = value.parse().unwrap_or(f64::NAN);
        let numbers = self.numbers.runs().filter(|run| run.0 == number).map(|run| run.1);
        let count = self.categories.get(value).copied().unwrap_or(0) + numbers.sum::<u64>();
        count as f64 / self.rows().max(1.0)
    }
}

/// The name of the suspected cause; None if nothing drifted and no check holds.
pub fn suspected_cause(reference: &Side, current: &Side, drifted: bool) -> Option<&'static str> {
    if current.null_rate - reference.null_rate > JUMP {
        return Some("null_rate");
    }
    if current.distinct() == 1 && reference.distinct() > 1 {
        return Some("constant");
    }
    if same_after_trimming(&reference.categories, &current.categories) {
        return Some("case_or_spaces");
    }
    if let Some((value, share)) = current.mode()
        && share > JUMP
        && reference.share(&value) < RARE
        && reference.distinct() > 2
        && current.distinct() > 2
    {
        return Some("sentinel");
    }
    if unit_change(&reference.numbers, &current.numbers) {
        return Some("unit_change");
    }
    if collapsed(&reference.numbers, &current.numbers) {
        return Some("fewer_distinct");
    }
    drifted.then_some("drift")
}

/// All three quartiles scaled by one power of ten.
fn unit_change(reference: &Ranked, current: &Ranked) -> bool {
    let powers: Vec<f64> = [0.25, 0.5, 0.75]
        .iter()
        .map(|q| (current.quantile(*q) / reference.quantile(*q)).log10())
        .collect();
    let Some(power) = powers.first().map(|power| power.round()) else { return false };
    let near = |p: &f64| (p - power).abs() < UNIT_TOLERANCE;
    power != 0.0 && power.is_finite() && powers.iter().all(near)
}

/// Different words that are the same in lower case without spaces around.
fn same_after_trimming(reference: &BTreeMap<String, u64>, current: &BTreeMap<String, u64>) -> bool {
    let new = current.keys().filter(|name| !reference.contains_key(*name)).count();
    let plain = |names: &BTreeMap<String, u64>| -> BTreeSet<String> {
        names.keys().map(|name| name.trim().to_lowercase()).collect()
    };
    new > 0 && plain(current).is_subset(&plain(reference))
}

/// The same range with a tenth of the values.
fn collapsed(reference: &Ranked, current: &Ranked) -> bool {
    let distinct = |side: &Ranked| side.runs().count() as f64;
    let spread = |side: &Ranked| side.quantile(0.95) - side.quantile(0.05);
    let (before, after) = (distinct(reference), distinct(current));
    let range = spread(current) / spread(reference);
    before >= 20.0 && after <= COLLAPSE * before && (0.8..1.25).contains(&range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::statistics::sample::Sample;

    fn numbers(values: impl Iterator<Item = f64>) -> Side {
        let mut sample = Sample::default();
        values.for_each(|value| sample.push(value));
        Side { numbers: sample.ranked(), ..Side::default() }
    }

    fn words(words: &[&str]) -> Side {
        let categories = words.iter().map(|word| ((*word).into(), 10)).collect();
        Side { categories, ..Side::default() }
    }

    #[test]
    fn each_mistake_leaves_its_trace() {
        let before = || numbers((0..1000).map(f64::from));
        let cause = |after: Side| suspected_cause(&before(), &after, true);
        assert_eq!(cause(Side { null_rate: 0.3, ..before() }), Some("null_rate"));
        assert_eq!(cause(numbers((0..50).map(|_| 7.0))), Some("constant"));
        let sentinel = (0..1000).map(|i| if i % 5 == 0 { -999.0 } else { f64::from(i) });
        assert_eq!(cause(numbers(sentinel)), Some("sentinel"));
        assert_eq!(cause(numbers((0..1000).map(|i| f64::from(i) * 100.0))), Some("unit_change"));
        let rounded = (0..1000).map(|i| f64::from(i / 50 * 50));
        assert_eq!(cause(numbers(rounded)), Some("fewer_distinct"));
        assert_eq!(cause(numbers((0..1000).map(|i| f64::from(i) + 300.0))), Some("drift"));
        assert_eq!(suspected_cause(&before(), &before(), false), None);
        let lower = suspected_cause(&words(&["A", "b "]), &words(&["a", "b"]), true);
        assert_eq!(lower, Some("case_or_spaces"));
        let lower = suspected_cause(&words(&["NO", "SE", "DK"]), &words(&["no", "se", "dk"]), true);
        assert_eq!(lower, Some("case_or_spaces"));
        let new = suspected_cause(&words(&["a", "b"]), &words(&["a", "c"]), true);
        assert_eq!(new, Some("drift"));
    }
}
