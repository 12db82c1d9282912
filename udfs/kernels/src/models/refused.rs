//! Why training on the rows of a table is refused or ended: models of tables share it.

/// See the module. `row` and `feature` count from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// A parameter out of its range.
    Parameter {
        name: &'static str,
        must: &'static str,
    },
    NoRows,
    /// More than 2^31 - 1.
    TooManyRows,
    NoFeatures,
    /// Columns, labels, weights or groups that are not equally long.
    Lengths {
        what: &'static str,
        found: usize,
        rows: usize,
    },
    /// A value that is missing or not finite, where a model has no place for such.
    Value {
        feature: usize,
        row: usize,
    },
    /// A label that the model has no meaning for.
    Label {
        row: usize,
        must: &'static str,
    },
    Weight {
        row: usize,
    },
    /// All labels are the same, so there is nothing to tell apart.
    OneClass,
    /// The system gives no threads.
    Threads,
    /// The hook asked for the end.
    Cancelled,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parameter { name, must } => write!(f, "{name} must be {must}"),
            Self::NoRows => f.write_str("no rows to train on"),
            Self::TooManyRows => f.write_str("more than 2147483647 rows to train on"),
            Self::NoFeatures => f.write_str("no features to train on"),
            Self::Lengths { what, found, rows } => {
                write!(f, "{found} values of {what} for {rows} rows")
            }
            Self::Value { feature, row } => {
                write!(f, "value of feature {feature} in row {row} is missing or not finite")
            }
            Self::Label { row, must } => write!(f, "label of row {row} must be {must}"),
            Self::Weight { row } => write!(f, "weight of row {row} must be finite and at least 0"),
            Self::OneClass => f.write_str("all labels are of one class"),
            Self::Threads => f.write_str("no threads to train with"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {}

/// Whether there are rows, and columns of features (given by their lengths) and weights for each.
///
/// # Errors
/// `NoRows`, `TooManyRows`, `NoFeatures`, `Lengths` and `Weight`.
pub(super) fn check_rows(
    features: impl Iterator<Item = usize>,
    rows: usize,
    weights: Option<&[f64]>,
) -> Result<(), Error> {
    if rows == 0 {
        return Err(Error::NoRows);
    }
    if rows > i32::MAX as usize {
        return Err(Error::TooManyRows);
    }
    let mut features = features.map(|length| ("a feature", length)).peekable();
    if features.peek().is_none() {
        return Err(Error::NoFeatures);
    }
    for (what, found) in features.chain(weights.map(|weights| ("weights", weights.len()))) {
        if found != rows {
            return Err(Error::Lengths { what, found, rows });
        }
    }
    let bad = |weights: &[f64]| weights.iter().position(|w| !w.is_finite() || *w < 0.0);
    match weights.and_then(bad) {
        Some(row) => Err(Error::Weight { row }),
        None => Ok(()),
    }
}
