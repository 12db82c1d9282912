//! A model as bytes, and back: arrays in `models::tensors`, the rest as its JSON description.

use serde_json::{Value, json};

use super::Error;
use super::data::Schema;
use super::features::{Encoder, Keys, Kind};
use super::layers::Layers;
use super::model::{Known, Model};
use super::step::Net;
use crate::models::nets::Token;
use crate::models::nets::rows::{Parameters, padded, wide};
use crate::models::ragged::Ragged;
use crate::models::tensors::{File, Writer};

/// Of the layout below.
const VERSION: u64 = 1;

impl Model {
    /// What the model is, without its numbers: options that hold at serving, and features.
    pub fn description(&self) -> Value {
        let features = |encoders: &[Encoder]| encoders.iter().map(feature).collect::<Vec<_>>();
        json!({
            "model": "two_tower",
            "version": VERSION,
            "dim": self.net.dim,
            "history_limit": self.history_limit,
            "users": self.users.keys.len(),
            "items": self.items.keys.len(),
            "rows": self.schema.rows,
            "layers": self.net.user.widths(),
            "user_features": features(&self.schema.user),
            "item_features": features(&self.schema.item),
        })
    }

    /// A safetensors file; `from_bytes` gives a model with the same bits.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let Net { dim, width, table, .. } = &self.net;
        let rows = table.values.chunks_exact(*width).flat_map(|row| &row[..*dim]);
        writer.add("table", &[self.schema.rows, *dim], rows.copied());
        for (name, known) in [("users", &self.users), ("items", &self.items)] {
            writer.list(&format!("{name}.keys"), &known.keys);
            writer.list(&format!("{name}.entries.ends"), &known.entries.ends);
            let tokens = &known.entries.values;
            let rows = tokens.iter().map(|token| token.0);
            writer.add(&format!("{name}.entries.rows"), &[tokens.len()], rows);
            let shares = tokens.iter().map(|token| token.1);
            writer.add(&format!("{name}.entries.shares"), &[tokens.len()], shares);
            writer.list(&format!("{name}.histories.ends"), &known.histories.ends);
            writer.list(&format!("{name}.histories.items"), &known.histories.values);
        }
        for (tower, encoders) in [("user", &self.schema.user), ("item", &self.schema.item)] {
            for (place, encoder) in encoders.iter().enumerate() {
                if let Kind::Number { mean, deviation } = encoder.kind {
                    // The description's decimals need not give the same bits.
                    writer.list(&format!("{tower}_features.{place}.scale"), &[mean, deviation]);
                }
                if let Keys::Known(keys) = &encoder.keys {
                    writer.list(&format!("{tower}_features.{place}.keys"), keys);
                }
            }
        }
        for (tower, layers) in [("user", &self.net.user), ("item", &self.net.item)] {
            layers.write(tower, &mut writer);
        }
        writer.finish(&self.description())
    }

    /// # Errors
    /// `Corrupt` for bytes that `to_bytes` did not write, whatever they are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let file = File::open(bytes).ok_or(Error::Corrupt { part: "file" })?;
        let about = &file.description;
        let known = about["model"] == "two_tower" && about["version"] == VERSION;
        if !known {
            return Err(Error::Corrupt { part: "version" });
        }
        let model = Self::read(&file).ok_or(Error::Corrupt { part: "arrays" })?;
        model.is_whole().then_some(model).ok_or(Error::Corrupt { part: "numbers" })
    }

    fn read(file: &File<'_>) -> Option<Self> {
        let about = &file.description;
        let count = |name: &str| usize::try_from(about[name].as_u64()?).ok();
        let (dim, rows) = (count("dim").filter(|dim| (1..=4096).contains(dim))?, count("rows")?);
        let width = padded(dim);
        let table = wide(&file.list("table")?, dim, rows)?;
        let widths = about["layers"].as_array()?.iter();
        let widths = widths.map(|width| usize::try_from(width.as_u64()?).ok());
        let widths: Vec<usize> = widths.collect::<Option<_>>()?;
        if widths.iter().any(|width| !(1..=4096).contains(width)) {
            return None;
        }
        let user = Layers::read("user", dim, &widths, file)?;
        let item = Layers::read("item", dim, &widths, file)?;
        let schema = Schema {
            user: encoders(file, "user_features")?,
            item: encoders(file, "item_features")?,
            rows,
        };
        let table = Parameters { values: table, ..Parameters::default() };
        Some(Self {
            schema,
            net: Net { dim, width, table, user, item },
            history_limit: count("history_limit")?,
            users: self::known(file, "users")?,
            items: self::known(file, "items")?,
        })
    }

    /// Whether every number points to something that is there.
    fn is_whole(&self) -> bool {
        let rows = self.schema.rows;
        let features = |encoders: &[Encoder]| {
            encoders.iter().all(|encoder| {
                let known = match &encoder.keys {
                    Keys::Known(keys) => keys.is_sorted(),
                    Keys::Buckets(buckets) => *buckets > 0,
                };
                known && encoder.first as usize + encoder.rows() <= rows
            })
        };
        let known = |known: &Known, histories: usize| {
            let (keys, entries) = (&known.keys, &known.entries);
            let places = entries.values.iter().all(|(row, _)| (*row as usize) < rows);
            let items = &known.histories.values;
            let items = items.iter().all(|item| (*item as usize) < self.items.keys.len());
            let counts = entries.len() == keys.len() && known.histories.len() == histories;
            keys.is_sorted()
                && counts
                && entries.is_whole()
                && known.histories.is_whole()
                && places
                && items
        };
        features(&self.schema.user)
            && features(&self.schema.item)
            && known(&self.users, self.users.keys.len())
            && known(&self.items, 0)
            && rows >= Schema::id(0) as usize + self.items.keys.len()
    }
}

fn feature(encoder: &Encoder) -> Value {
    let (kind, mean, deviation) = match encoder.kind {
        Kind::Category => ("category", None, None),
        Kind::List => ("list", None, None),
        Kind::Number { mean, deviation } => ("number", Some(mean), Some(deviation)),
    };
    let buckets = match &encoder.keys {
        Keys::Known(_) => None,
        Keys::Buckets(buckets) => Some(*buckets),
    };
    json!({
        "name": encoder.name,
        "kind": kind,
        "mean": mean,
        "deviation": deviation,
        "buckets": buckets,
        "first": encoder.first,
    })
}

fn encoders(file: &File<'_>, tower: &str) -> Option<Vec<Encoder>> {
    let features = file.description[tower].as_array()?.iter().enumerate();
    let encoders = features.map(|(place, about)| {
        let kind = match about["kind"].as_str()? {
            "category" => Kind::Category,
            "list" => Kind::List,
            "number" => {
                let scale: Vec<f64> = file.list(&format!("{tower}.{place}.scale"))?;
                let [mean, deviation] = scale.try_into().ok()?;
                Kind::Number { mean, deviation }
            }
            _ => return None,
        };
        let keys = match about["buckets"].as_u64() {
            Some(buckets) => Keys::Buckets(u32::try_from(buckets).ok()?),
            None => Keys::Known(file.list(&format!("{tower}.{place}.keys"))?),
        };
        let first = u32::try_from(about["first"].as_u64()?).ok()?;
        Some(Encoder { name: about["name"].as_str()?.to_string(), kind, first, keys })
    });
    encoders.collect()
}

fn known(file: &File<'_>, name: &str) -> Option<Known> {
    let rows: Vec<u32> = file.list(&format!("{name}.entries.rows"))?;
    let shares: Vec<f32> = file.list(&format!("{name}.entries.shares"))?;
    let values: Vec<Token> = rows.into_iter().zip(shares).collect();
    let ends = file.list(&format!("{name}.entries.ends"))?;
    let histories = Ragged {
        ends: file.list(&format!("{name}.histories.ends"))?,
        values: file.list(&format!("{name}.histories.items"))?,
    };
    let keys = file.list(&format!("{name}.keys"))?;
    Some(Known { keys, entries: Ragged { ends, values }, histories })
}
