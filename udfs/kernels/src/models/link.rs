//! From scores to predictions.

/// From scores to predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Link {
    Identity,
    /// 1 / (1 + e^(-slope x)), output by output.
    Sigmoid {
        slope: f64,
    },
    Softmax,
    Exp,
    /// x |x|: of models of a root.
    SignedSquare,
    /// ln(1 + e^x).
    Softplus,
}

impl Link {
    /// Turns the scores of one row into predictions.
    pub fn apply(self, row: &mut [f64]) {
        let each = |row: &mut [f64], f: &dyn Fn(f64) -> f64| {
            row.iter_mut().for_each(|x| *x = f(*x));
        };
        match self {
            Self::Identity => {}
            Self::Sigmoid { slope } => each(row, &|x| 1.0 / (1.0 + libm::exp(-slope * x))),
            Self::Exp => each(row, &libm::exp),
            Self::SignedSquare => each(row, &|x| x * x.abs()),
            Self::Softplus => each(row, &|x| libm::log1p(libm::exp(x))),
            Self::Softmax => softmax(row),
        }
    }
}

/// e^x over the sum of all, kept in range by the greatest.
pub(crate) fn softmax(row: &mut [f64]) {
    let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|x| *x = libm::exp(*x - greatest));
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|x| *x /= sum);
}
