//! A factorisation as bytes, and back: arrays in `models::tensors`, the rest as its description.

use serde_json::{Value, json};

use super::{Error, Model, Side};
use crate::models::tensors::{File, Writer};

/// Of the layout below.
const VERSION: u64 = 1;

impl Model {
    /// What the model is, without its numbers.
    pub fn description(&self) -> Value {
        json!({
            "model": "als",
            "version": VERSION,
            "dim": self.dim,
            "users": self.users.keys.len(),
            "items": self.items.keys.len(),
        })
    }

    /// A safetensors file; `from_bytes` gives a model with the same bits.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        for (name, side) in [("users", &self.users), ("items", &self.items)] {
            writer.list(&format!("{name}.keys"), &side.keys);
            let shape = [side.keys.len(), self.dim];
            writer.add(&format!("{name}.vectors"), &shape, side.vectors.iter().copied());
        }
        writer.add("gramian", &[self.dim, self.dim], self.gramian.iter().copied());
        // As doubles: the description's decimals need not give the same bits.
        writer.list("weights", &[self.regularisation, self.unobserved_weight]);
        writer.finish(&self.description())
    }

    /// # Errors
    /// `Corrupt` for bytes that `to_bytes` did not write, whatever they are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let file = File::open(bytes).ok_or(Error::Corrupt { part: "file" })?;
        if file.description["model"] != "als" || file.description["version"] != VERSION {
            return Err(Error::Corrupt { part: "version" });
        }
        Self::read(&file).ok_or(Error::Corrupt { part: "arrays" })
    }

    fn read(file: &File<'_>) -> Option<Self> {
        let about = &file.description;
        let dim = usize::try_from(about["dim"].as_u64()?).ok()?;
        let side = |name: &str| {
            let keys: Vec<u64> = file.list(&format!("{name}.keys"))?;
            let vectors: Vec<f32> = file.list(&format!("{name}.vectors"))?;
            let whole = keys.is_sorted() && Some(vectors.len()) == keys.len().checked_mul(dim);
            whole.then_some(Side { keys, vectors })
        };
        let (users, items) = (side("users")?, side("items")?);
        let gramian: Vec<f64> = file.list("gramian")?;
        let [regularisation, unobserved_weight] = file.list("weights")?.try_into().ok()?;
        let whole = dim > 0 && Some(gramian.len()) == dim.checked_mul(dim);
        whole.then_some(Self { dim, regularisation, unobserved_weight, users, items, gramian })
    }
}
