//! What is searched for: the vector of a query, or those of a join's left side.

use std::sync::{Arc, Mutex, PoisonError};

use catalog::indexes::TableIndex;
use datafusion::arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Schema};
use datafusion::error::Result as EngineResult;
use datafusion::physical_expr::PhysicalExpr;
use kernels::vectors::parse;

/// See the module.
#[derive(Debug)]
pub(super) enum Queries {
    /// Over no columns.
    One(Arc<dyn PhysicalExpr>),
    OfEach(Arc<OfEach>),
}

/// The vectors of a join's left side: given by the join once it has them, taken by the search that
/// is its right side.
#[derive(Debug, Default)]
pub(super) struct OfEach(Mutex<Option<Vec<f32>>>);

impl OfEach {
    /// None if some left row has no vector: any right row is near to that.
    pub fn give(&self, vectors: Option<Vec<f32>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = vectors;
    }

    fn take(&self) -> Option<Vec<f32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Queries {
    /// One after the other, of the dimension of the index; None if there are none such, which
    /// whoever computes distances says.
    pub fn vectors(&self, index: &TableIndex) -> EngineResult<Option<Vec<f32>>> {
        match self {
            Self::One(query) => vector(query, index),
            Self::OfEach(of_each) => Ok(of_each.take()),
        }
    }
}

/// The query as a vector of a dimension; None if it is none, which whoever computes distances says.
fn vector(query: &Arc<dyn PhysicalExpr>, index: &TableIndex) -> EngineResult<Option<Vec<f32>>> {
    let (dimension, kind) = (index.dimension, index.kind);
    let options = RecordBatchOptions::new();
    let one = options.with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one)?;
    let value = query.evaluate(&row)?.into_array(1)?;
    if value.is_null(0) {
        return Ok(None);
    }
    let elements = match value.data_type() {
        DataType::FixedSizeList(..) => value.as_fixed_size_list().value(0),
        DataType::List(_) => value.as_list::<i32>().value(0),
        DataType::Utf8 => {
            let vector = parse(kind, value.as_string::<i32>().value(0), Some(dimension));
            return Ok(vector.ok().filter(|vector| has_size(vector)));
        }
        _ => return Ok(None),
    };
    let elements = cast(&elements, &DataType::Float32)?;
    let elements = elements.as_primitive::<Float32Type>();
    let fits =
        elements.len() == dimension && elements.null_count() == 0 && has_size(elements.values());
    Ok(fits.then(|| elements.values().to_vec()))
}

/// Whether a vector's length, squared, is a float: the index has no distances from longer ones.
fn has_size(vector: &[f32]) -> bool {
    vector.iter().map(|x| x * x).sum::<f32>().is_finite()
}
