//! Each treatment arm against control: the array of comparisons that `ab_report` is made of.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, StringArray, StructArray, new_null_array,
};
use datafusion::error::Result as EngineResult;

use super::{Arm, ArmBatch, ArmOptions, Arms, Pair, TwoSample, by_name, comparison_shape};
use crate::aggregate::Statistic;
use crate::arguments::{Call, Doc, Given};
use crate::output::{Output, Shape, Type, fields};

/// The state is that of the comparison.
#[derive(Debug, Clone, Default)]
pub struct Each<T: TwoSample>(Arms<T>);

/// A row of the array: whatever comparison it comes from, it has the fields of all of them.
fn row() -> Shape {
    let mut shape = vec![("treatment", Type::Text)];
    shape.extend(comparison_shape());
    let more = ["theta", "variance_reduction", "covariate_imbalance_p"];
    shape.extend(more.map(|name| (name, Type::Number)));
    shape.push(("n_clusters", Type::Count));
    shape
}

impl<T: TwoSample> Statistic for Each<T> {
    type Options = ArmOptions<T::Options>;
    type Batch<'a> = ArmBatch<'a, T>;

    fn call() -> Call {
        Call { name: T::EACH, doc: DOC, ..T::call() }
    }

    fn shape() -> Shape {
        vec![("", Type::Rows(row))]
    }

    fn options(given: &Given) -> EngineResult<Self::Options> {
        Arms::<T>::options(given)
    }

    fn batch<'a>(
        columns: &'a [ArrayRef],
        options: &Self::Options,
    ) -> EngineResult<Self::Batch<'a>> {
        Arms::<T>::batch(columns, options)
    }

    fn push(&mut self, batch: &Self::Batch<'_>, rows: &[u32]) {
        self.0.push(batch, rows);
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        self.0.encode(bytes);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Arms::decode(bytes).map(Self)
    }

    fn heap(&self) -> usize {
        self.0.heap()
    }

    fn finish(&self, options: &Self::Options, output: &mut Output) {
        let empty = Arm::default();
        let [control, _] = self.0.pair(options);
        let control_label = control.map(|arm| arm.label.as_str());
        let control = control.unwrap_or(&empty);
        let mut others: Vec<&Arm<T::Side>> = self.0.arms.iter().collect();
        others.retain(|arm| Some(arm.label.as_str()) != control_label);
        if let Some(only) = &options.treatment {
            others.retain(|arm| arm.label == *only);
        }
        others.sort_by(|a, b| by_name(&a.label, &b.label));
        let mut rows = Output::new(T::shape());
        for arm in &others {
            let pair = Pair {
                control: &control.side,
                treatment: &arm.side,
                nulls: control.nulls + arm.nulls,
                ambiguous: false,
            };
            T::finish(&pair, &options.own, &mut rows);
        }
        let labels = StringArray::from_iter_values(others.iter().map(|arm| arm.label.as_str()));
        output.rows(widened(rows, labels));
    }
}

/// The comparison's fields among those of `row`, NULL where it has none.
fn widened(rows: Output, labels: StringArray) -> EngineResult<ArrayRef> {
    let count = labels.len();
    let labels: ArrayRef = Arc::new(labels);
    let rows = rows.finish()?;
    let shape = row();
    let column = |(name, of): &(&str, Type)| match *name {
        "treatment" => Arc::clone(&labels),
        name => rows
            .as_struct_opt()
            .and_then(|rows| rows.column_by_name(name).cloned())
            .unwrap_or_else(|| new_null_array(&of.arrow(), count)),
    };
    let columns = shape.iter().map(column).collect();
    Ok(Arc::new(StructArray::try_new(fields(&shape), columns, None)?))
}

const DOC: Doc = Doc {
    summary: "The comparison of each arm with control, as an array of rows that name the arm: the \
              fields of the comparison, those it does not have being NULL. ab_report is made of \
              it.",
    example: (
        "SELECT array_length(ab_ttest_each(y, arm), 1) FROM (VALUES (1, 'control'), (2, 'a'), \
         (3, 'b')) t(y, arm)",
        "2",
    ),
};
