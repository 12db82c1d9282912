//! Expected calibration error: how far probabilities are from shares.
//!
//! ece = Σ over bins of (weight of bin / weight) |mean label - mean probability|

use super::ranked::Scores;
use super::ratio;
use crate::statistics::double::Double;
use crate::statistics::sample::together;

/// Sums of a bin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bin {
    weight: Double,
    label: Double,
    probability: Double,
}

/// Bins of probabilities: a state has only those that have rows, for most groups are small.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    last: u32,
    /// By number.
    bins: Vec<(u32, Bin)>,
}

impl Calibration {
    /// Bins of equal width: bin i of n holds i/n < p <= (i+1)/n, the first one 0 too. At least one.
    pub fn new(bins: u32) -> Self {
        Self { last: bins.saturating_sub(1), bins: Vec::new() }
    }

    /// Probabilities out of 0 to 1 fall into the first or the last bin.
    pub fn push(&mut self, label: bool, probability: f64, weight: f64) {
        let place = (probability * (f64::from(self.last) + 1.0)).ceil() as u32;
        self.add(place.saturating_sub(1).min(self.last), label, probability, weight);
    }

    fn add(&mut self, number: u32, label: bool, probability: f64, weight: f64) {
        let label = Double::from(if label { weight } else { 0.0 });
        let (weight, probability) = (Double::from(weight), Double::product(probability, weight));
        self.add_bin(number, Bin { weight, label, probability });
    }

    fn add_bin(&mut self, number: u32, other: Bin) {
        match self.bins.binary_search_by_key(&number, |(number, _)| *number) {
            Err(place) => self.bins.insert(place, (number, other)),
            Ok(place) => {
                let (_, bin) = &mut self.bins[place];
                bin.weight = bin.weight + other.weight;
                bin.label = bin.label + other.label;
                bin.probability = bin.probability + other.probability;
            }
        }
    }

    /// Of equally many bins.
    pub fn merge(&mut self, other: &Self) {
        other.bins.iter().for_each(|(number, bin)| self.add_bin(*number, *bin));
    }

    /// The number of the last bin, for storing.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// For storing: weight, labels and probabilities of each bin that has rows.
    pub fn sums(&self) -> impl ExactSizeIterator<Item = (u32, [Double; 3])> + '_ {
        self.bins.iter().map(|(number, bin)| (*number, [bin.weight, bin.label, bin.probability]))
    }

    /// The state of stored sums.
    pub fn of_sums(last: u32, sums: impl Iterator<Item = (u32, [Double; 3])>) -> Self {
        let mut calibration = Self { last, bins: Vec::new() };
        sums.for_each(|(number, [weight, label, probability])| {
            calibration.add_bin(number.min(last), Bin { weight, label, probability });
        });
        calibration
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.bins.capacity() * size_of::<(u32, Bin)>()
    }

    pub fn ece(&self) -> Option<f64> {
        let (mut apart, mut weight) = (Double::default(), Double::default());
        for (_, bin) in &self.bins {
            let distance = bin.label - bin.probability;
            apart = apart + if distance.hi < 0.0 { -distance } else { distance };
            weight = weight + bin.weight;
        }
        ratio(apart, weight)
    }
}

/// The error by bins of about equally many rows: bin bounds are the quantiles i/n of the
/// probabilities, by linear interpolation; a probability on a bound is in the bin below it.
pub fn ece_equal_mass(probabilities: &Scores, bins: u32) -> Option<f64> {
    let (positive, negative) = (probabilities.positive.ranked(), probabilities.negative.ranked());
    let bins = bins.max(1);
    let last = (positive.count() + negative.count()).checked_sub(1)? as f64;
    let places = (1..bins).map(|number| last * f64::from(number) / f64::from(bins));
    let wanted: Vec<u64> =
        places.clone().flat_map(|place| [place.floor() as u64, place.ceil() as u64]).collect();
    let (mut found, mut before) = (Vec::with_capacity(wanted.len()), 0);
    together(&positive, &negative, |p, labelled, other| {
        before += labelled + other;
        while wanted.get(found.len()).is_some_and(|place| *place < before) {
            found.push(p);
        }
    });
    let (ends, _) = found.as_chunks::<2>();
    let bounds: Vec<f64> =
        ends.iter().zip(places).map(|([a, b], place)| a + (b - a) * place.fract()).collect();
    let mut calibration = Calibration::new(bins);
    together(&positive, &negative, |p, labelled, other| {
        let bin = bounds.partition_point(|bound| *bound < p) as u32;
        calibration.add(bin, true, p, labelled as f64);
        calibration.add(bin, false, p, other as f64);
    });
    calibration.ece()
}
