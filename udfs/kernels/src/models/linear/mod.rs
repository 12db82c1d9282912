//! Linear and logistic regression with penalties.
//!
//! ```text
//!   minimise  Σ w loss(y, b + x·β) / Σ w  +  l1 Σ |β|  +  l2/2 Σ β²          b without penalty
//!
//!   regression   ½ (y - s)²              Cholesky; with l1, coordinate descent on the moments
//!   binary       ln(1 + e^s) - y s       L-BFGS; with l1, OWL-QN
//!   multinomial  ln Σ e^s_k - s_y        the same, a β for each class
//! ```
//!
//! Columns are centred and scaled inside; `standardise` says whether penalties mean the scaled
//! ones. Sums run over fixed parts of the rows: the answer does not depend on threads. In terms of
//! scikit-learn: `ElasticNet(alpha, l1_ratio)` is l1 = alpha l1_ratio, l2 = alpha (1 - l1_ratio);
//! `LogisticRegression(C)` is l2 = 1 / (C Σ w). A value that is missing or not finite is an error:
//! what stands in for it is the caller's to say.

mod design;
mod minimise;
mod squares;
mod train;

pub use super::refused::Error;
pub use train::{Fitted, Report, Run, memory_bytes, train};

use super::link::Link;
use super::text::{Lines, escape, list, missing, sealed, unescape, unsealed};
use super::trees;

/// What is regressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Regression,
    /// Labels 0 and 1.
    Binary,
    /// Classes from 0 on.
    Multinomial {
        num_class: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub family: Family,
    pub l1: f64,
    pub l2: f64,
    /// Whether penalties are on coefficients of columns scaled to deviation 1.
    pub standardise: bool,
    pub intercept: bool,
    pub max_iterations: usize,
    /// Converged when no slope of the scaled problem is over this (regression: times the labels'
    /// deviation).
    pub tolerance: f64,
}

impl Options {
    pub fn new(family: Family) -> Self {
        Self {
            family,
            l1: 0.0,
            l2: 0.0,
            standardise: true,
            intercept: true,
            max_iterations: 1000,
            tolerance: 1e-7,
        }
    }
}

/// Coefficients in the columns' own units.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    pub features: Vec<String>,
    /// One of each output.
    pub intercepts: Vec<f64>,
    /// Row-major: of each output, those of all features.
    pub coefficients: Vec<f64>,
    pub link: Link,
}

impl Linear {
    pub fn outputs(&self) -> usize {
        self.intercepts.len()
    }

    /// Predictions, row-major by outputs: `out` has rows x outputs places. NaN where a value is.
    /// None if a column is missing or too short.
    pub fn predict(&self, columns: &[&[f64]], out: &mut [f64]) -> Option<()> {
        let (outputs, features) = (self.outputs(), self.features.len());
        let rows = out.len().checked_div(outputs)?;
        let fits = columns.len() >= features && columns.iter().all(|column| column.len() >= rows);
        if !fits || rows * outputs != out.len() || self.coefficients.len() != outputs * features {
            return None;
        }
        for row in out.chunks_exact_mut(outputs) {
            row.copy_from_slice(&self.intercepts);
        }
        for (feature, column) in columns.iter().enumerate().take(features) {
            for (row, value) in out.chunks_exact_mut(outputs).zip(*column) {
                for (output, score) in row.iter_mut().enumerate() {
                    *score += self.coefficients[output * features + feature] * value;
                }
            }
        }
        out.chunks_exact_mut(outputs).for_each(|row| self.link.apply(row));
        Some(())
    }

    /// The model as text: the same for the same model.
    pub fn write(&self) -> String {
        let link = match self.link {
            Link::Sigmoid { .. } => "sigmoid",
            Link::Softmax => "softmax",
            Link::Identity | Link::Exp | Link::SignedSquare | Link::Softplus => "identity",
        };
        let mut text = format!("linear\nsextant_version={VERSION}\nlink={link}\n");
        let numbers = |all: &[f64]| all.iter().map(|x| format!("{x:e}")).collect::<Vec<_>>();
        list(&mut text, "features", self.features.iter().map(|name| escape(name)));
        list(&mut text, "intercepts", numbers(&self.intercepts));
        list(&mut text, "coefficients", numbers(&self.coefficients));
        sealed(text)
    }

    /// A model that `write` wrote; anything else, or a changed letter, is refused.
    pub fn read(text: &str) -> Result<Self, trees::Error> {
        let lines = Lines::new(unsealed(text).ok_or(trees::Error::Checksum)?);
        match lines.number("sextant_version")? {
            VERSION => {}
            found => return Err(trees::Error::Version { found }),
        }
        let link = match lines.find("link") {
            Some("identity") => Link::Identity,
            Some("sigmoid") => Link::Sigmoid { slope: 1.0 },
            Some("softmax") => Link::Softmax,
            _ => return Err(missing("link")),
        };
        let count = |key| lines.find(key).unwrap_or_default().split_ascii_whitespace().count();
        let (outputs, names) = (count("intercepts"), count("features"));
        let names: Vec<String> = lines.list("features", names)?;
        Ok(Self {
            intercepts: lines.list("intercepts", outputs)?,
            coefficients: lines.list("coefficients", outputs * names.len())?,
            features: names.iter().map(|name| unescape(name)).collect(),
            link,
        })
    }
}

/// Of the text.
const VERSION: u32 = 1;
