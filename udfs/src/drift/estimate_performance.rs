//! `estimate_performance(score, predicted)`: how well a classifier does, before its labels are
//! known.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::double::Double;

use crate::aggregate::Statistic;
use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::bytes::take_u64;
use crate::output::{Output, Shape, Type};

/// Per predicted class (false, true): rows, and the expected number of positives among them.
#[derive(Debug, Clone, Default)]
pub struct Performance {
    rows: [u64; 2],
    positives: [Double; 2],
    nulls: u64,
    /// Scores that are no probability, and predictions that are no class.
    wrong: u64,
}

impl Statistic for Performance {
    type Options = ();
    type Batch<'a> = [&'a Float64Array; 2];

    fn call() -> Call {
        let arguments = vec![
            required("score", Kind::Number, "calibrated probability of the positive class"),
            required(
                "predicted",
                Kind::Number,
                "the class that was predicted: a boolean, or 0 or 1",
            ),
        ];
        Call { name: "estimate_performance", arguments, doc: DOC }
    }

    fn shape() -> Shape {
        let numbers = ["accuracy", "precision", "recall", "f1", "positive_rate"];
        let numbers = numbers.map(|name| (name, Type::Number));
        let counts = ["n_null", "n_nan"].map(|name| (name, Type::Count));
        let mut shape = vec![("n", Type::Count)];
        shape.extend(numbers);
        shape.extend(counts);
        shape.push(("status", Type::Text));
        shape
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn batch<'a>(columns: &'a [ArrayRef], (): &()) -> EngineResult<Self::Batch<'a>> {
        Ok([0, 1].map(|place| columns[place].as_primitive::<Float64Type>()))
    }

    fn push(&mut self, [scores, predicted]: &Self::Batch<'_>, rows: &[u32]) {
        for row in rows.iter().map(|row| *row as usize) {
            if scores.is_null(row) || predicted.is_null(row) {
                self.nulls += 1;
            } else if (0.0..=1.0).contains(&scores.value(row))
                && [0.0, 1.0].contains(&predicted.value(row))
            {
                let class = usize::from(predicted.value(row) == 1.0);
                self.rows[class] += 1;
                self.positives[class] = self.positives[class] + Double::from(scores.value(row));
            } else {
                self.wrong += 1;
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.rows = [0, 1].map(|class| self.rows[class] + other.rows[class]);
        self.positives = [0, 1].map(|class| self.positives[class] + other.positives[class]);
        self.nulls += other.nulls;
        self.wrong += other.wrong;
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let counts = [self.rows[0], self.rows[1], self.nulls, self.wrong];
        let sums = self.positives.iter().flat_map(|sum| [sum.hi.to_bits(), sum.lo.to_bits()]);
        counts.into_iter().chain(sums).for_each(|number| bytes.extend(number.to_le_bytes()));
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut number = || take_u64(&mut bytes);
        let (rows, nulls, wrong) = ([number()?, number()?], number()?, number()?);
        let mut sum =
            || Some(Double { hi: f64::from_bits(number()?), lo: f64::from_bits(number()?) });
        Some(Self { rows, positives: [sum()?, sum()?], nulls, wrong })
    }

    fn finish(&self, (): &(), output: &mut Output) {
        let all = (self.rows[0] + self.rows[1]) as f64;
        let (hits, missed) = (self.positives[1].value(), self.positives[0].value());
        let predicted = self.rows[1] as f64;
        let rejected = self.rows[0] as f64 - missed;
        let known = all > 0.0 && self.wrong == 0;
        let ratio = |above: f64, below: f64| (known && below > 0.0).then(|| above / below);
        output
            .count(self.rows[0] + self.rows[1])
            .number(ratio(hits + rejected, all))
            .number(ratio(hits, predicted))
            .number(ratio(hits, hits + missed))
            .number(ratio(2.0 * hits, predicted + hits + missed))
            .number(ratio(predicted, all))
            .count(self.nulls)
            .count(self.wrong)
            .text(match (all > 0.0, self.wrong) {
                (_, wrong) if wrong > 0 => "non_finite",
                (false, _) => "insufficient_data",
                (true, _) => "ok",
            });
    }
}

const DOC: Doc = Doc {
    summary: "Confidence-based performance estimation (CBPE, NannyML): a row scored p is positive \
              with probability p, so p and 1 - p are summed as expected true and false counts. \
              Right only while scores are calibrated. A score outside [0, 1] is counted in n_nan \
              and makes the status non_finite; rows with a NULL are counted in n_null and left \
              out.",
    example: (
        "SELECT round((estimate_performance(p, p > 0.5)).accuracy, 3) FROM (VALUES (0.9), (0.2)) t(p)",
        "0.85",
    ),
};
