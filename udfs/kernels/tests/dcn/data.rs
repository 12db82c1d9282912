//! Made-up rows whose labels are products of features, which no weighted sum of them tells.

use kernels::metrics::ranked::auc;
use kernels::models::dcn::{Feature, Model, Objective, Options, Rows, Training, Work, train};
use kernels::simd::level::Level;

/// One SplitMix64 step.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Columns of two numbers, two categories (of 2 and of 4 codes) and a number that says nothing.
pub struct Made {
    pub columns: [Vec<f64>; 5],
    pub labels: Vec<f64>,
}

/// What labels follow.
#[derive(Clone, Copy)]
pub enum Rule {
    /// 1 where both numbers are on one side of zero, in nine of ten rows.
    Sides,
    /// 1 where the parities of both categories agree, in nine of ten rows.
    Codes,
    /// The product of both numbers, and a little noise.
    Product,
}

impl Made {
    pub fn new(rule: Rule, rows: usize, mut seed: u64) -> Self {
        let mut columns: [Vec<f64>; 5] = Default::default();
        let mut labels = Vec::new();
        for _ in 0..rows {
            let mut even = || (next(&mut seed) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
            let (a, b, rest, noise) = (even(), even(), even(), even());
            let (c, d) = (next(&mut seed) % 2, next(&mut seed) % 4);
            let is = match rule {
                Rule::Sides => a * b > 0.0,
                Rule::Codes => c == d % 2,
                Rule::Product => false,
            };
            labels.push(match rule {
                Rule::Product => 3.0 * a * b + 0.1 * noise + 7.0,
                _ => f64::from(u8::from(is == (noise < 0.8))),
            });
            let values = [5.0 * a, 0.1 * b + 40.0, c as f64, d as f64, rest];
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        Self { columns, labels }
    }

    pub fn slices(&self) -> [&[f64]; 5] {
        self.columns.each_ref().map(Vec::as_slice)
    }

    pub fn with<T>(&self, work: impl FnOnce(&Rows<'_>) -> T) -> T {
        let [a, b, c, d, e] = self.slices();
        let features = [
            Feature::Numeric(a),
            Feature::Numeric(b),
            Feature::Categorical(c),
            Feature::Categorical(d),
            Feature::Numeric(e),
        ];
        work(&Rows { features: &features, labels: &self.labels, weights: None })
    }

    pub fn fit(&self, options: &Options, held: Option<&Self>, threads: usize) -> Training {
        let work = Work { threads, ..Work::alone() };
        self.with(|rows| match held {
            None => train(options, rows, None, &work).unwrap(),
            Some(held) => held.with(|held| train(options, rows, Some(held), &work).unwrap()),
        })
    }

    pub fn predicted(&self, model: &Model) -> Vec<f64> {
        let mut out = vec![0.0; self.labels.len()];
        model.predict(Level::best(), &self.slices(), &mut out).unwrap();
        out
    }

    pub fn auc(&self, predicted: &[f64]) -> f64 {
        let labels: Vec<bool> = self.labels.iter().map(|label| *label == 1.0).collect();
        auc(&labels, predicted, None).unwrap()
    }

    /// Mean square of what is off.
    pub fn square(&self, predicted: &[f64]) -> f64 {
        let off = self.labels.iter().zip(predicted).map(|(a, b)| (a - b) * (a - b));
        off.sum::<f64>() / self.labels.len() as f64
    }
}

pub fn quick(objective: Objective) -> Options {
    Options { epochs: 12, learning_rate: 0.01, batch_size: 128, ..Options::new(objective) }
}
