//! ONNX files: inference by tract, over operators of the standard domain.
//!
//! ```text
//!   file ─▶ only what the scores need ─▶ operators of ai.onnx.ml ─▶ tract ─▶ row by row
//!                (graph.rs)               as standard ones (ml.rs),
//!                                         trees as a `Forest` (trees.rs)
//! ```
//!
//! Rows are answered one by one: in a block, the last bits of an answer depend on its place, and a
//! row must have one answer wherever it is asked. Sums are those of single precision.

mod graph;
mod ml;
mod nodes;
mod trees;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::pb;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{InferenceFact, bail};
use tract_onnx::tract_hir::tract_core::internal::{RunOptions, TypedRunnableModel};

pub use super::trees::Error;
use graph::Input;
use prost::Message;

/// What the outputs of a model are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classes {
    /// One number for each row.
    None,
    /// A share for each of these, or of two that of the second only.
    Whole(Vec<i64>),
    /// As `Whole`.
    Text(Vec<String>),
}

/// A model ready to be asked.
#[derive(Debug)]
pub struct Model {
    inputs: Vec<Input>,
    plan: Arc<TypedRunnableModel>,
    outputs: usize,
    classes: Classes,
}

fn unread(error: &TractError) -> Error {
    Error::Format { what: format!("{error:#}") }
}

impl Model {
    /// Reads a file.
    ///
    /// # Errors
    /// What cannot be read, and what is not supported, by name.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        // A file may be anything, and not every reader of such files expects that.
        let read = catch_unwind(AssertUnwindSafe(|| Self::read_unguarded(bytes)));
        read.unwrap_or_else(|_| Err(Error::Format { what: "it is unsound".to_owned() }))
    }

    fn read_unguarded(bytes: &[u8]) -> Result<Self, Error> {
        let proto = pb::ModelProto::decode(bytes)
            .map_err(|error| Error::Format { what: error.to_string() })?;
        let graph::Read { proto, inputs, told } = graph::read(proto)?;
        let mut onnx = tract_onnx::onnx();
        onnx.op_register.insert(trees::OPERATOR, trees::build);
        let mut model = onnx.model_for_proto_model(&proto).map_err(|error| unread(&error))?;
        for (place, input) in inputs.iter().enumerate() {
            let fact = InferenceFact::dt_shape(input.of, input.shape());
            model.set_input_fact(place, fact).map_err(|error| unread(&error))?;
        }
        let model = model.into_optimized().map_err(|error| unread(&error))?;
        let fact = model.output_fact(0).map_err(|error| unread(&error))?;
        let shape = fact.shape.as_concrete().map(<[usize]>::to_vec).unwrap_or_default();
        let outputs = match shape.as_slice() {
            [1] => 1,
            [1, outputs] if *outputs > 0 => *outputs,
            other => {
                return Err(Error::Unsupported { what: format!("an output of shape {other:?}") });
            }
        };
        let classes = graph::checked(told, outputs)?;
        let plan = model.into_runnable_with_options(&RunOptions::default());
        let plan = plan.map_err(|error| unread(&error))?;
        let model = Self { inputs, plan, outputs, classes };
        // What only an evaluation finds is found now.
        let zeros = vec![0.0; model.features().len()];
        match model.row(&zeros, &mut vec![0.0; outputs]) {
            Ok(()) => Ok(model),
            Err(error) => Err(unread(&error)),
        }
    }

    /// The names of the columns, in the order of values.
    pub fn features(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = 0;
        for input in &self.inputs {
            match input.width {
                1 => names.push(input.name.clone()),
                width => {
                    names.extend((next..next + width).map(|place| format!("f{place}")));
                    next += width;
                }
            }
        }
        names
    }

    /// What the outputs are.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Numbers for each row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Answers rows, given by columns, row by row; NaN is the missing value. A row without a value
    /// for an input that has no place for that has NaN for an answer.
    ///
    /// # Errors
    /// Why the model fails on a row, as one that asks a table for a place that it has not; or that
    /// lengths do not fit.
    pub fn predict(&self, columns: &[&[f64]], out: &mut [f64]) -> Result<(), String> {
        let rows = out.len() / self.outputs;
        let width: usize = self.inputs.iter().map(|input| input.width).sum();
        if columns.len() != width || columns.iter().any(|column| column.len() != rows) {
            return Err("it takes other columns".to_owned());
        }
        let mut row = vec![0.0; width];
        for (place, out) in out.chunks_exact_mut(self.outputs).enumerate() {
            row.iter_mut().zip(columns).for_each(|(value, column)| *value = column[place]);
            let answered = catch_unwind(AssertUnwindSafe(|| self.row(&row, out)));
            let answered =
                answered.map_err(|_| "it fails, as by a code that it does not know".to_owned())?;
            answered.map_err(|error| error.root_cause().to_string())?;
        }
        Ok(())
    }

    /// Answers a row.
    fn row(&self, row: &[f64], out: &mut [f64]) -> TractResult<()> {
        let mut asked = TVec::new();
        let mut rest = row;
        for input in &self.inputs {
            let (own, others) = rest.split_at(input.width);
            rest = others;
            if !input.takes_missing && own.iter().any(|value| value.is_nan()) {
                out.fill(f64::NAN);
                return Ok(());
            }
            if let Some(value) = own.iter().find(|value| !input.holds(**value)) {
                bail!("{value} is no value of input \"{}\"", input.name);
            }
            let tensor = Tensor::from_shape(&input.shape(), own)?;
            asked.push(tensor.cast_to_dt(input.of)?.into_owned().into_tvalue());
        }
        let answered = self.plan.run(asked)?;
        let numbers = answered[0].cast_to::<f64>()?;
        let numbers = numbers.to_plain_array_view::<f64>()?;
        for (out, number) in out.iter_mut().zip(numbers.iter()) {
            *out = *number;
        }
        Ok(())
    }
}
