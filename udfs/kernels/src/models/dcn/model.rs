//! A trained model: predictions of rows.

use super::data::Field;
use super::net::{Net, Pass};
use super::options::Objective;
use crate::simd::level::Level;
use crate::vectors::Panels;

/// Rows that go through the network at once.
const BLOCK: usize = 256;

/// What `predict` asks.
#[derive(Debug)]
pub struct Model {
    pub(super) objective: Objective,
    pub(super) fields: Vec<Field>,
    /// What labels were standardised by.
    pub(super) shift: f64,
    pub(super) scale: f64,
    pub(super) net: Net,
    packed: Vec<Panels>,
}

impl PartialEq for Model {
    /// The same numbers; how they are packed follows.
    fn eq(&self, other: &Self) -> bool {
        (self.objective, &self.fields, self.shift, self.scale, &self.net)
            == (other.objective, &other.fields, other.shift, other.scale, &other.net)
    }
}

impl Model {
    pub(super) fn new(
        objective: Objective,
        fields: Vec<Field>,
        (shift, scale): (f64, f64),
        mut net: Net,
    ) -> Self {
        net.forget();
        let packed = net.packed();
        Self { objective, fields, shift, scale, net, packed }
    }

    /// Predictions of as many rows as `out` has places: numbers, or probabilities of 1. NaN is a
    /// missing value. None if a column is missing or too short.
    pub fn predict(&self, level: Level, columns: &[&[f64]], out: &mut [f64]) -> Option<()> {
        let rows = out.len();
        let fits = columns.len() >= self.fields.len();
        if !fits || columns.iter().any(|column| column.len() < rows) {
            return None;
        }
        let mut pass = Pass::default();
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let token = |row: usize, field: usize| {
                self.fields[field].token(columns[field][block * BLOCK + row])
            };
            pass.forward((level, 1), (&self.net, &self.packed), out.len(), &token);
            for (out, score) in out.iter_mut().zip(&pass.scores) {
                *out = self.shift + self.scale * f64::from(*score);
            }
        }
        self.objective.link().apply(out);
        Some(())
    }
}
