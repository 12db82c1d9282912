//! Columns as fields: which row of the table a value points to, and with what coefficient.

use super::train::Rows;
use super::{Error, Feature, Objective};
use crate::models::nets::Token;
use crate::models::refused::check_rows;

/// Places of values beyond which a standardised number says no more.
const FAR: f64 = 10.0;

/// How a feature's values become tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// The first of its rows.
    pub first: u32,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Standardised by what training saw; `missing`: it saw NULL, which has a row too.
    Number { mean: f64, deviation: f64, missing: bool },
    /// Codes, ascending; the row of unknown ones comes first, then one each.
    Category { codes: Vec<u32> },
}

impl Field {
    /// # Errors
    /// `Value` for an infinite number.
    fn fit(place: usize, feature: Feature<'_>, first: u32) -> Result<Self, Error> {
        let kind = match feature {
            Feature::Categorical(values) => {
                let mut codes: Vec<u32> = values.iter().filter_map(|value| code(*value)).collect();
                codes.sort_unstable();
                codes.dedup();
                Kind::Category { codes }
            }
            Feature::Numeric(values) => {
                if let Some(row) = values.iter().position(|value| value.is_infinite()) {
                    return Err(Error::Value { feature: place, row });
                }
                let there = values.iter().filter(|value| !value.is_nan());
                let missing = there.clone().count() < values.len();
                let (mean, deviation) = moments(there.map(|value| (*value, 1.0)));
                Kind::Number { mean, deviation, missing }
            }
        };
        Ok(Self { first, kind })
    }

    /// Rows of the table that the field has.
    pub fn rows(&self) -> usize {
        match &self.kind {
            Kind::Number { missing, .. } => 1 + usize::from(*missing),
            Kind::Category { codes } => codes.len() + 1,
        }
    }

    pub fn is_category(&self) -> bool {
        matches!(self.kind, Kind::Category { .. })
    }

    /// What a value stands for.
    pub fn token(&self, value: f64) -> Token {
        match &self.kind {
            Kind::Number { missing: true, .. } if value.is_nan() => (self.first + 1, 1.0),
            Kind::Number { .. } if value.is_nan() => (self.first, 0.0),
            Kind::Number { mean, deviation, .. } => {
                let standard = (value - mean) / deviation;
                (self.first, standard.clamp(-FAR, FAR) as f32)
            }
            Kind::Category { codes } => {
                let place = code(value).and_then(|code| codes.binary_search(&code).ok());
                (self.first + place.map_or(0, |place| place as u32 + 1), 1.0)
            }
        }
    }
}

/// The code that a value is; none for all that is no whole number from 0 on.
fn code(value: f64) -> Option<u32> {
    let code = value as u32;
    (f64::from(code) == value).then_some(code)
}

/// Mean and deviation of values with weights; a deviation of 1 where there is none.
fn moments(values: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let values = values.filter(|(_, weight)| *weight > 0.0);
    let greatest = values.clone().fold(0.0, |most: f64, (value, _)| most.max(value.abs()));
    if greatest == 0.0 {
        return (0.0, 1.0);
    }
    // Welford's: weights, mean, sum of squared differences; in parts of the greatest, so that no
    // square leaves the range of numbers.
    let (mut total, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (value, weight) in values {
        total += weight;
        let change = value / greatest - mean;
        mean += change * (weight / total);
        squares += weight * change * (value / greatest - mean);
    }
    let deviation = (squares / total).sqrt() * greatest;
    let usable = deviation > 0.0 && deviation.is_finite();
    (mean * greatest, if usable { deviation } else { 1.0 })
}

/// Fields of the columns, one after the other in the table.
pub(super) fn fields(features: &[Feature<'_>]) -> Result<Vec<Field>, Error> {
    let mut first = 0_u32;
    let fit = |(place, feature): (usize, &Feature<'_>)| {
        let field = Field::fit(place, *feature, first)?;
        let rows = u32::try_from(field.rows()).ok();
        first = rows.and_then(|rows| first.checked_add(rows)).ok_or(Error::TooManyRows)?;
        Ok(field)
    };
    features.iter().enumerate().map(fit).collect()
}

/// Rows ready for training.
#[derive(Debug)]
pub(super) struct Data {
    /// Of each row, that of each field.
    pub tokens: Vec<Token>,
    /// As the net gives them.
    pub labels: Vec<f64>,
    pub weights: Vec<f64>,
}

impl Data {
    /// Rows as `fields` see them; labels are shifted and scaled.
    pub fn new(fields: &[Field], rows: &Rows<'_>, (shift, scale): (f64, f64)) -> Self {
        let count = rows.labels.len();
        let mut tokens = Vec::with_capacity(count * fields.len());
        for row in 0..count {
            let features = fields.iter().zip(rows.features);
            tokens.extend(features.map(|(field, feature)| field.token(feature.values()[row])));
        }
        let labels = rows.labels.iter().map(|label| label / scale - shift / scale).collect();
        let weights = (0..count).map(|row| rows.weight(row)).collect();
        Self { tokens, labels, weights }
    }
}

impl Rows<'_> {
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// # Errors
    /// Those of `check_rows`, and `Label`.
    pub(super) fn check(&self, objective: Objective) -> Result<(), Error> {
        let lengths = self.features.iter().map(|feature| feature.values().len());
        check_rows(lengths, self.labels.len(), self.weights)?;
        let (must, holds): (_, fn(f64) -> bool) = match objective {
            Objective::Regression => ("finite", f64::is_finite),
            Objective::Binary => ("0 or 1", |label| label == 0.0 || label == 1.0),
        };
        match self.labels.iter().position(|label| !holds(*label)) {
            Some(row) => Err(Error::Label { row, must }),
            None => Ok(()),
        }
    }

    /// What labels are standardised by.
    ///
    /// # Errors
    /// `NoRows` without a weight above zero, `OneClass`.
    pub(super) fn scale(&self, objective: Objective) -> Result<(f64, f64), Error> {
        let all = self.labels.iter().enumerate().map(|(row, label)| (*label, self.weight(row)));
        let mut counted = all.clone().filter(|(_, weight)| *weight > 0.0);
        let Some((first, _)) = counted.next() else { return Err(Error::NoRows) };
        match objective {
            Objective::Regression => Ok(moments(all)),
            Objective::Binary if counted.all(|(label, _)| label == first) => Err(Error::OneClass),
            Objective::Binary => Ok((0.0, 1.0)),
        }
    }
}
