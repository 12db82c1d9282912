//! `rank_statistics(x, is_current, …)`: the tests on ranks of the same rows, from one sort.
//!
//! `ab_mannwhitney`, `ks_test` and `wasserstein` keep the same of each arm. Asked for beside each
//! other they would each sort for themselves, so the planner asks for this one in their place, and
//! gives to each its options by position and takes its answer by name.

use std::ops::Range;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result as EngineResult;

use super::ks_test::{KsOptions, KsTest};
use super::wasserstein::{Units, Wasserstein};
use crate::aggregate::Statistic;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::experiments::{MannWhitney, RankOptions};
use crate::output::{Output, Shape, Type};
use crate::two_sample::{ArmBatch, ArmOptions, Arms, TwoSample, Values};

/// Arguments that are columns.
const COLUMNS: usize = 2;
/// The functions that it stands for, and where the options of each are among its arguments.
pub const MEMBERS: [(&str, Range<usize>); 3] =
    [("ab_mannwhitney", 2..7), ("ks_test", 7..9), ("wasserstein", 9..11)];

/// The state is that of any of them.
#[derive(Debug, Clone, Default)]
pub struct RankStatistics(Arms<MannWhitney>);

/// The options of each.
#[derive(Debug)]
pub struct OptionsOfEach {
    rows: ArmOptions<RankOptions>,
    mann_whitney: ArmOptions<RankOptions>,
    ks_test: ArmOptions<KsOptions>,
    wasserstein: ArmOptions<Units>,
}

impl Statistic for RankStatistics {
    type Options = OptionsOfEach;
    type Batch<'a> = ArmBatch<'a, MannWhitney>;

    fn call() -> Call {
        let arguments = vec![
            required("x", Kind::Number, "a number"),
            required(
                "is_current",
                Kind::Flag,
                "false: reference or control, true: current or \
                treatment, NULL: neither",
            ),
            option("control", Kind::Text, "of ab_mannwhitney"),
            option("treatment", Kind::Text, "of ab_mannwhitney"),
            option("alternative", Kind::Text, "of ab_mannwhitney"),
            option("method", Kind::Text, "of ab_mannwhitney"),
            option("continuity", Kind::Flag, "of ab_mannwhitney"),
            option("ks_method", Kind::Text, "method of ks_test"),
            option("alpha", Kind::Number, "of ks_test"),
            option("scale", Kind::Text, "of wasserstein"),
            option("threshold", Kind::Number, "of wasserstein"),
        ];
        Call { name: "rank_statistics", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        let shapes: [fn() -> Shape; 3] =
            [MannWhitney::shape, <KsTest as TwoSample>::shape, <Wasserstein as TwoSample>::shape];
        MEMBERS.iter().zip(shapes).map(|((name, _), of)| (*name, Type::Row(of))).collect()
    }

    fn options(given: &Given) -> EngineResult<OptionsOfEach> {
        let [mann_whitney, ks_test, wasserstein] = MEMBERS.map(|(_, options)| options);
        let of_test = |given: &Given<'_>| Arms::<MannWhitney>::options(given);
        let of_ks = |given: &Given<'_>| Arms::<KsTest>::options(given);
        let of_area = |given: &Given<'_>| Arms::<Wasserstein>::options(given);
        let rows = MannWhitney::options(&MannWhitney::call().given_values(&[]))?;
        Ok(OptionsOfEach {
            rows: ArmOptions::of_all(rows),
            mann_whitney: given.part(&MannWhitney::call(), COLUMNS, mann_whitney, of_test)?,
            ks_test: given.part(&KsTest::call(), COLUMNS, ks_test, of_ks)?,
            wasserstein: given.part(&Wasserstein::call(), COLUMNS, wasserstein, of_area)?,
        })
    }

    fn batch<'a>(
        columns: &'a [ArrayRef],
        options: &OptionsOfEach,
    ) -> EngineResult<Self::Batch<'a>> {
        Arms::<MannWhitney>::batch(columns, &options.rows)
    }

    fn push(&mut self, batch: &Self::Batch<'_>, rows: &[u32]) {
        self.0.push(batch, rows);
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        self.0.encode(bytes);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Arms::decode(bytes).map(Self)
    }

    fn heap(&self) -> usize {
        self.0.heap()
    }

    fn finish(&self, options: &OptionsOfEach, output: &mut Output) {
        let in_order = |of: Values| Values { sample: of.sample.in_order(), ..of };
        let arms = self.0.clone().with_sides(in_order);
        output
            .row(|row| arms.answer::<MannWhitney>(&options.mann_whitney, row))
            .row(|row| arms.answer::<KsTest>(&options.ks_test, row))
            .row(|row| arms.answer::<Wasserstein>(&options.wasserstein, row));
    }
}

const DOC: Doc = Doc {
    summary: "The answers of ab_mannwhitney, ks_test and wasserstein over the same rows, as one row \
              of three: the rows are sorted once. Calls of two or three of them over the same \
              columns are planned as this function. NULL and NaN are as those functions have them.",
    example: (
        "SELECT ((rank_statistics(x, c)).ks_test).value FROM (VALUES (1, false), (2, false), \
         (3, true), (4, true)) t(x, c)",
        "1",
    ),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_the_functions() {
        let own = RankStatistics::call().arguments;
        let calls = [MannWhitney::call(), KsTest::call(), Wasserstein::call()];
        for (call, (name, options)) in calls.iter().zip(MEMBERS) {
            assert_eq!(call.name, name);
            let theirs = call.arguments.iter().skip(COLUMNS).map(|argument| argument.kind);
            let ours = own[options].iter().map(|argument| argument.kind);
            assert!(theirs.eq(ours), "{name}");
        }
        assert_eq!(own.len(), MEMBERS[2].1.end);
    }
}
