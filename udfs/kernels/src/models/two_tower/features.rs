//! Features as rows of the table: which rows a value stands for, and with what coefficients.

use super::Error;
use crate::models::held_out::spread;
use crate::models::nets::Token;

/// Lists, one after the other: row `r` holds `keys[ends[r - 1]..ends[r]]`. NULL is an empty list.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    pub ends: &'a [usize],
    pub keys: &'a [u64],
}

impl<'a> Lists<'a> {
    /// Row `row`; empty where ends do not ascend or reach past the keys.
    pub fn row(&self, row: usize) -> &'a [u64] {
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(row).copied().unwrap_or(0);
        self.keys.get(start.unwrap_or(0)..end).unwrap_or(&[])
    }
}

/// A feature's values in training, one a row. Categories and elements of lists are keys: the number
/// itself, or a hash of the text.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    Category(&'a [Option<u64>]),
    Number(&'a [f32]),
    List(Lists<'a>),
}

impl Column<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Category(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::List(lists) => lists.ends.len(),
        }
    }

    /// Values that could be keys or numbers of their own.
    pub(super) fn values(&self) -> usize {
        match self {
            Self::Category(values) => values.len(),
            Self::Number(_) => 1,
            Self::List(lists) => lists.keys.len(),
        }
    }

    pub(super) fn value(&self, row: usize) -> Value<'_> {
        match self {
            Self::Category(values) => Value::Category(values.get(row).copied().flatten()),
            Self::Number(values) => Value::Number(values.get(row).copied().unwrap_or(f32::NAN)),
            Self::List(lists) => Value::List(lists.row(row)),
        }
    }
}

/// A feature of one tower.
#[derive(Debug, Clone, Copy)]
pub struct Feature<'a> {
    pub name: &'a str,
    /// Rows that all its keys share by hashing; else each key of the training has its own.
    pub buckets: Option<u32>,
    pub column: Column<'a>,
}

/// A feature's value when a vector is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Category(Option<u64>),
    /// NaN is NULL.
    Number(f32),
    List(&'a [u64]),
}

/// How a feature's values become tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Encoder {
    pub name: String,
    pub kind: Kind,
    /// The first of its rows.
    pub first: u32,
    pub keys: Keys,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Category,
    List,
    /// A number, standardised by what the training saw.
    Number {
        mean: f64,
        deviation: f64,
    },
}

/// Which rows keys have.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Keys {
    /// Ascending; the row of unknown keys comes first, then one each.
    Known(Vec<u64>),
    /// Two of so many rows each, with signs: two keys rarely share both.
    Buckets(u32),
}

impl Keys {
    pub fn rows(&self) -> usize {
        match self {
            Self::Known(keys) => keys.len() + 1,
            Self::Buckets(buckets) => *buckets as usize,
        }
    }
}

/// Places of values beyond which a standardised number says no more.
const FAR: f64 = 10.0;

impl Encoder {
    /// Learns keys, mean and deviation from `rows` of the column.
    pub fn fit(feature: &Feature<'_>, rows: &[u32], first: u32) -> Result<Self, Error> {
        let mut keys = Vec::new();
        let mut numbers = (0u64, 0.0f64, 0.0f64);
        for row in rows {
            match feature.column.value(*row as usize) {
                Value::Category(key) => keys.extend(key),
                Value::List(list) => keys.extend_from_slice(list),
                Value::Number(x) if x.is_infinite() => {
                    let (column, row) = (feature.name.to_string(), *row as usize);
                    return Err(Error::NotFinite { column, row });
                }
                Value::Number(x) if x.is_nan() => {}
                Value::Number(x) => {
                    // Welford's: count, mean, sum of squared differences.
                    numbers.0 += 1;
                    let change = f64::from(x) - numbers.1;
                    numbers.1 += change / numbers.0 as f64;
                    numbers.2 += change * (f64::from(x) - numbers.1);
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let kind = match feature.column {
            Column::Category(_) => Kind::Category,
            Column::List(_) => Kind::List,
            Column::Number(_) => {
                let deviation = (numbers.2 / (numbers.0.max(1) as f64)).sqrt();
                let deviation = if deviation > 0.0 { deviation } else { 1.0 };
                Kind::Number { mean: numbers.1, deviation }
            }
        };
        let keys = match (kind, feature.buckets) {
            (Kind::Category | Kind::List, Some(buckets)) => Keys::Buckets(buckets.max(1)),
            _ => Keys::Known(keys),
        };
        Ok(Self { name: feature.name.to_string(), kind, first, keys })
    }

    /// Rows of the table that the feature has.
    pub fn rows(&self) -> usize {
        match self.kind {
            Kind::Number { .. } => 1,
            Kind::Category | Kind::List => self.keys.rows(),
        }
    }

    /// The name of what it takes.
    fn expected(&self) -> &'static str {
        match self.kind {
            Kind::Category => "category",
            Kind::List => "list",
            Kind::Number { .. } => "number",
        }
    }

    /// Adds what a value stands for.
    ///
    /// # Errors
    /// `Kind` for a value of another kind, `NotFinite` for an infinity.
    pub fn encode(&self, value: Value<'_>, row: usize, out: &mut Vec<Token>) -> Result<(), Error> {
        match (self.kind, value) {
            (Kind::Category, Value::Category(None)) => {}
            (Kind::Category, Value::Category(Some(key))) => self.category(key, 1.0, out),
            (Kind::List, Value::List(list)) => self.list(list, out),
            (Kind::Number { .. }, Value::Number(x)) if x.is_nan() => {}
            (Kind::Number { .. }, Value::Number(x)) if x.is_infinite() => {
                return Err(Error::NotFinite { column: self.name.clone(), row });
            }
            (Kind::Number { mean, deviation }, Value::Number(x)) => {
                // In double precision no difference leaves the range of numbers.
                let standard = (f64::from(x) - mean) / deviation;
                out.push((self.first, standard.clamp(-FAR, FAR) as f32));
            }
            _ => {
                let (feature, expected) = (self.name.clone(), self.expected());
                return Err(Error::Kind { feature, expected });
            }
        }
        Ok(())
    }

    fn category(&self, key: u64, share: f32, out: &mut Vec<Token>) {
        match &self.keys {
            Keys::Known(keys) => {
                let place = keys.binary_search(&key).map_or(0, |place| place as u32 + 1);
                out.push((self.first + place, share));
            }
            Keys::Buckets(buckets) => {
                let hash = spread(key);
                let share = share * std::f32::consts::FRAC_1_SQRT_2;
                for half in [hash as u32, (hash >> 32) as u32] {
                    let sign = if half & 1 == 0 { share } else { -share };
                    let place = ((u64::from(half >> 1) * u64::from(*buckets)) >> 31) as u32;
                    out.push((self.first + place, sign));
                }
            }
        }
    }

    /// Each element with 1/√n; elements that training has not seen do not count.
    fn list(&self, list: &[u64], out: &mut Vec<Token>) {
        let known = |key: &&u64| match &self.keys {
            Keys::Known(keys) => keys.binary_search(key).is_ok(),
            Keys::Buckets(_) => true,
        };
        let count = list.iter().filter(known).count();
        let share = 1.0 / (count as f32).sqrt();
        list.iter().filter(known).for_each(|key| self.category(*key, share, out));
    }
}
