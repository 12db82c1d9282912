//! A model as bytes, and back: arrays in `models::tensors`, the rest as its JSON description.

use serde_json::{Value, json};

use super::data::{Field, Kind};
use super::model::Model;
use super::net::{Net, Shape};
use super::options::{Objective, Options};
use crate::models::nets::layers::Layer;
use crate::models::nets::rows::{Parameters, wide};
use crate::models::tensors::{File, Writer};

/// Of the layout below.
const VERSION: u64 = 1;

impl Model {
    /// What the model is, without its numbers.
    pub fn description(&self) -> Value {
        let kinds = self.fields.iter().map(|field| match &field.kind {
            Kind::Number { missing, .. } => json!({ "kind": "number", "null": missing }),
            Kind::Category { codes } => json!({ "kind": "category", "codes": codes.len() }),
        });
        let Shape { dim, cross_layers, rank, layers, rows, .. } = &self.net.shape;
        json!({
            "model": "dcn",
            "version": VERSION,
            "objective": match self.objective {
                Objective::Regression => "regression",
                Objective::Binary => "binary",
            },
            "cross_layers": cross_layers,
            "rank": rank,
            "layers": layers,
            "dim": dim,
            "rows": rows,
            "fields": kinds.collect::<Vec<_>>(),
        })
    }

    /// A safetensors file; `from_bytes` gives a model with the same bits. A row of `table` is the
    /// slot's floats and the weight of the linear part.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let (shape, table) = (&self.net.shape, &self.net.table.values);
        let rows = table.chunks_exact(shape.width()).flat_map(|row| &row[..=shape.dim]);
        writer.add("table", &[shape.rows, shape.dim + 1], rows.copied());
        writer.list("label.scale", &[self.shift, self.scale]);
        for (place, field) in self.fields.iter().enumerate() {
            match &field.kind {
                Kind::Number { mean, deviation, .. } => {
                    writer.list(&format!("field.{place}.scale"), &[*mean, *deviation]);
                }
                Kind::Category { codes } => {
                    writer.list(&format!("field.{place}.codes"), codes);
                }
            }
        }
        for ((name, _, _), layer) in shape.layers().iter().zip(&self.net.layers) {
            layer.write(name, &mut writer);
        }
        writer.finish(&self.description())
    }

    /// None for bytes that `to_bytes` did not write, whatever they are.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let file = File::open(bytes)?;
        let about = &file.description;
        if about["model"] != "dcn" || about["version"] != VERSION {
            return None;
        }
        let objective = match about["objective"].as_str()? {
            "regression" => Objective::Regression,
            "binary" => Objective::Binary,
            _ => return None,
        };
        let fields = fields(&file)?;
        let count = |name: &str| usize::try_from(about[name].as_u64()?).ok();
        let layers = about["layers"].as_array()?.iter();
        let layers = layers.map(|width| usize::try_from(width.as_u64()?).ok());
        let options = Options {
            cross_layers: count("cross_layers")?,
            rank: count("rank")?,
            layers: layers.collect::<Option<_>>()?,
            dim: count("dim")?,
            ..Options::new(objective)
        };
        options.check().ok()?;
        let shape = Shape::new(&options, &fields);
        let [shift, scale] = file.list::<f64>("label.scale")?.try_into().ok()?;
        // The weight of the linear part lies next to the longest slot, as in memory.
        let values = wide(&file.list("table")?, shape.dim + 1, shape.rows)?;
        let layers = shape.layers().into_iter();
        let layers = layers.map(|(name, size, biased)| Layer::read(&name, size, biased, &file));
        let layers = layers.collect::<Option<_>>()?;
        let table = Parameters { values, ..Parameters::default() };
        Some(Self::new(objective, fields, (shift, scale), Net { shape, table, layers }))
    }
}

fn fields(file: &File<'_>) -> Option<Vec<Field>> {
    let mut first = 0_u32;
    let kinds = file.description["fields"].as_array()?.iter().enumerate();
    let fields = kinds.map(|(place, about)| {
        let kind = match about["kind"].as_str()? {
            "number" => {
                let scale: Vec<f64> = file.list(&format!("field.{place}.scale"))?;
                let [mean, deviation] = scale.try_into().ok()?;
                Kind::Number { mean, deviation, missing: about["null"].as_bool()? }
            }
            "category" => {
                let codes: Vec<u32> = file.list(&format!("field.{place}.codes"))?;
                let ascend = codes.windows(2).all(|pair| pair[0] < pair[1]);
                Kind::Category { codes: ascend.then_some(codes)? }
            }
            _ => return None,
        };
        let field = Field { first, kind };
        first = first.checked_add(u32::try_from(field.rows()).ok()?)?;
        Some(field)
    });
    fields.collect::<Option<Vec<_>>>().filter(|fields| !fields.is_empty())
}
