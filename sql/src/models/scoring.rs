//! Models and fitted functions as functions of the engine.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use catalog::{MODEL_KEY, TYPE_KEY};
use datafusion::arrow::array::{ArrayRef, Float64Array, ListArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::features::Encoder;
use super::fitted::Fitted;
use super::library::{Engine, Opened, Tabular};
use super::outputs::{Asked, With};
use super::target::Target;
use super::vectors::vectors;
use crate::error::Result;

/// A model over its features.
#[derive(Debug)]
struct Scoring {
    name: String,
    /// See `MODEL_KEY`.
    version: String,
    model: Arc<Opened>,
    asked: Asked,
    with: With,
    answer: DataType,
    tag: Option<String>,
    signature: Signature,
}

/// The function that a call becomes; `name` is shown in plans, `version` is the model's name.
pub(super) fn scoring(
    (name, version): (String, &str),
    (model, asked, with): (Arc<Opened>, Asked, With),
    (answer, tag): (DataType, Option<String>),
) -> Arc<ScalarUDF> {
    let signature = Signature::variadic_any(Volatility::Immutable);
    let version = format!("{version} {}", model.folder);
    Arc::new(ScalarUDF::from(Scoring { name, version, model, asked, with, answer, tag, signature }))
}

impl PartialEq for Scoring {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.model.folder == other.model.folder
    }
}

impl Eq for Scoring {}

impl Hash for Scoring {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.model.folder.hash(state);
    }
}

impl ScalarUDFImpl for Scoring {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.answer.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let tag = self.tag.iter().map(|tag| (TYPE_KEY.to_owned(), tag.clone()));
        let version = self.asked.embeds().then(|| (MODEL_KEY.to_owned(), self.version.clone()));
        let field = Field::new(&self.name, self.answer.clone(), true);
        Ok(Arc::new(field.with_metadata(tag.chain(version).collect())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let constant = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let arrays = arguments.args.iter().map(|value| value.to_array(rows));
        let arrays = arrays.collect::<EngineResult<Vec<_>>>()?;
        let answers = match &self.model.engine {
            Engine::Tabular { model, encoder, target, .. } => {
                predictions(model, encoder, target, self.asked, &arrays, rows)
            }
            Engine::Retrieval { model, user, item, .. } => {
                let side = if self.asked == Asked::User { user } else { item };
                vectors(model, (side, self.asked), self.with, &arrays, rows)
            }
        };
        let answers = answers?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?),
            false => ColumnarValue::Array(answers),
        })
    }
}

/// What a model says of rows.
pub(super) fn predictions(
    model: &Tabular,
    encoder: &Encoder,
    target: &Target,
    asked: Asked,
    arrays: &[ArrayRef],
    rows: usize,
) -> Result<ArrayRef> {
    let columns = encoder.columns(arrays)?;
    let outputs = target.outputs();
    let numbers = model.predict(&columns.slices(), target, rows)?;
    let known = |of: usize| -> NullBuffer {
        numbers.chunks_exact(of).map(|row| !row.iter().any(|number| number.is_nan())).collect()
    };
    match asked {
        Asked::Predict if let Some(classes) = target.decode(&numbers)? => Ok(classes),
        Asked::Probability if outputs > 1 => {
            let item = Arc::new(Field::new_list_field(DataType::Float64, true));
            let offsets = OffsetBuffer::from_lengths(vec![outputs; rows]);
            let known = Some(known(outputs));
            let values = Arc::new(Float64Array::from(numbers));
            Ok(Arc::new(ListArray::new(item, offsets, values, known)))
        }
        _ => {
            let known = Some(known(1));
            Ok(Arc::new(Float64Array::new(numbers.into(), known)))
        }
    }
}

/// A fitted function of a transform.
#[derive(Debug)]
struct Learned {
    /// Unique to an opened version.
    name: String,
    fitted: Fitted,
    signature: Signature,
}

/// See `Learned`.
pub(super) fn fitted_function(name: String, fitted: Fitted) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::from(Learned { name, fitted, signature }))
}

impl PartialEq for Learned {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Learned {}

impl Hash for Learned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Learned {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.fitted.data_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let constant = matches!(arguments.args[0], ColumnarValue::Scalar(_));
        let rows = if constant { 1 } else { arguments.number_rows };
        let answers = self.fitted.apply(&arguments.args[0].to_array(rows)?)?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?),
            false => ColumnarValue::Array(answers),
        })
    }
}
