//! `ece(label, score, bins, method)`: how far probabilities are from the shares that came true.

use datafusion::error::Result as EngineResult;
use kernels::metrics::calibration::{Calibration, ece_equal_mass};
use kernels::metrics::ranked::Scores;

use super::measure::{Measure, Rows};
use super::rows::{likely, probabilities};
use crate::Error;
use crate::arguments::{Call, Doc, Given, Kind, option};
use crate::bytes::{put_doubles, take_doubles, take_u64};
use crate::two_sample::Side;

/// Up to this many bins: bounds what a group of many rows holds.
const MOST_BINS: i64 = 10_000;

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Ece;

/// How to bin.
#[derive(Debug, Clone, Copy)]
pub struct Bins {
    count: u32,
    method: Method,
}

/// Where bins end.
#[derive(Debug, Clone, Copy)]
enum Method {
    Uniform,
    Quantile,
}

/// Sums of the bins, if their ends are known from the start; else all probabilities.
#[derive(Debug, Clone, Default)]
pub struct Binned {
    uniform: Option<Calibration>,
    scores: Scores,
}

impl Rows<Bins> for Binned {
    fn take(&mut self, label: f64, score: f64, bins: Bins) -> Option<()> {
        let (class, probability) = likely(label, score)?;
        match bins.method {
            Method::Uniform => {
                let uniform = self.uniform.get_or_insert_with(|| Calibration::new(bins.count));
                uniform.push(class, probability, 1.0);
            }
            Method::Quantile => self.scores.push(class, probability),
        }
        Some(())
    }
}

impl Side for Binned {
    fn merge(&mut self, other: Self) {
        match (&mut self.uniform, other.uniform) {
            (Some(uniform), Some(other)) => uniform.merge(&other),
            (uniform, Some(other)) => *uniform = Some(other),
            (_, None) => {}
        }
        self.scores.merge(&other.scores);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let bins = self.uniform.as_ref().map_or(0, |uniform| uniform.sums().len());
        let last = self.uniform.as_ref().map_or(0, Calibration::last);
        [bins as u64, last.into()].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        for (number, sums) in self.uniform.iter().flat_map(Calibration::sums) {
            bytes.extend(u64::from(number).to_le_bytes());
            put_doubles(bytes, &sums);
        }
        self.scores.encode(bytes);
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let (bins, last) = (take_u64(&mut bytes)?, number(&mut bytes)?);
        let bin = |_| Some((number(&mut bytes)?, take_doubles(&mut bytes)?));
        let sums: Vec<_> = (0..bins).map(bin).collect::<Option<_>>()?;
        let uniform = (bins > 0).then(|| Calibration::of_sums(last, sums.into_iter()));
        Some(Self { uniform, scores: Scores::decode(bytes)? })
    }

    fn heap(&self) -> usize {
        self.uniform.as_ref().map_or(0, Calibration::size) + self.scores.heap()
    }
}

/// The number of a bin, off the front.
fn number(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_u64(bytes)?).ok()
}

impl Measure for Ece {
    type Options = Bins;
    type State = Binned;

    fn call() -> Call {
        let mut arguments = probabilities();
        arguments.push(option("bins", Kind::Integer, "number of bins (default 10)"));
        let meaning = "'uniform' (default): equally wide, or 'quantile': of equally many rows";
        arguments.push(option("method", Kind::Text, meaning));
        Call { name: "ece", arguments, doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<Bins> {
        let methods = [("uniform", Method::Uniform), ("quantile", Method::Quantile)];
        let (bins, method) = (given.whole("bins", 1, 10)?, given.choice("method", &methods)?);
        if bins <= MOST_BINS {
            return Ok(Bins { count: u32::try_from(bins).unwrap_or(1), method });
        }
        let (allowed, given) = (format!("at most {MOST_BINS}"), bins.to_string());
        Err(Error::InvalidArgument { name: "bins", allowed, given }.into())
    }

    fn value(state: &Binned, bins: Bins) -> Option<f64> {
        match bins.method {
            Method::Uniform => state.uniform.as_ref()?.ece(),
            Method::Quantile => ece_equal_mass(&state.scores, bins.count),
        }
    }
}

const DOC: Doc = Doc {
    summary: "Expected calibration error (Naeini, Cooper & Hauskrecht 2015): mean over rows of \
              |share of true labels - mean score| of the bin they are in. Bins are equally wide, \
              i/n < score <= (i + 1)/n, or end at the quantiles i/n of the scores, as in \
              scikit-learn's calibration_curve; with 'quantile' memory grows with the number of \
              distinct scores. Rows with a NULL are left out; no rows, a score outside [0, 1] or a \
              label other than 0 and 1 makes it NULL.",
    example: (
        "SELECT ece(label, score) FROM (VALUES (true, 0.75), (false, 0.75)) t(label, score)",
        "0.25",
    ),
};
