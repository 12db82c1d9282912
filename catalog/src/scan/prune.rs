//! Files that a filter cannot match, told by the statistics the catalog keeps of them.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, UInt64Array};
use datafusion::arrow::compute::{SortOptions, sort_to_indices};
use datafusion::arrow::datatypes::{Float64Type, Schema as ArrowSchema};
use datafusion::catalog::Session;
use datafusion::common::{Column as EngineColumn, ScalarValue, ToDFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicateBuilder, PruningStatistics};

use crate::model::{Column, ColumnStats, DataFile, Table};
use crate::types;

/// The files that may hold a matching row.
pub(super) fn files(
    session: &dyn Session,
    table: &Table,
    files: &[Arc<DataFile>],
    filters: &[Expr],
) -> Result<Vec<Arc<DataFile>>> {
    let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(files.to_vec()) };
    let fields = super::columns::fields(table);
    let schema = Arc::new(ArrowSchema::new(fields));
    let Ok(physical) =
        session.create_physical_expr(filter, &schema.as_ref().clone().to_dfschema()?)
    else {
        return Ok(files.to_vec());
    };
    let Some(predicate) = PruningPredicateBuilder::new().with_file_schema(schema).build(physical)
    else {
        return Ok(files.to_vec());
    };
    let keep = predicate.prune(&FileStatistics { table, files })?;
    let kept = files.iter().zip(keep).filter(|(_, keep)| *keep);
    Ok(kept.map(|(file, _)| Arc::clone(file)).collect())
}

/// The least and greatest value that a column has in any of the files, if all of them say.
pub(super) fn bounds(
    column: &Column,
    files: &[Arc<DataFile>],
) -> (Option<ScalarValue>, Option<ScalarValue>) {
    let extreme = |pick: fn(&ColumnStats) -> Option<&String>, greatest: bool| {
        let texts = files.iter().filter_map(|file| match file.stats.get(&column.id) {
            // Only NULLs: no bound of its own.
            Some(stats) if stats.nulls == file.rows => None,
            Some(stats) => Some(pick(stats).cloned()),
            None => Some(None),
        });
        let texts: Vec<Option<String>> = texts.collect();
        if texts.is_empty() || texts.iter().any(Option::is_none) {
            return None;
        }
        let values = types::parse_values(&texts, &column.field).ok()?;
        let order = SortOptions { descending: greatest, nulls_first: false };
        let first = sort_to_indices(&values, Some(order), Some(1)).ok()?;
        ScalarValue::try_from_array(&values, first.value(0) as usize).ok()
    };
    (extreme(|stats| stats.min.as_ref(), false), extreme(|stats| stats.max.as_ref(), true))
}

/// A bound that also holds if its text is that of a single: a column may have been widened, and
/// `0.1` then stands for 0.10000000149.
fn outer(value: f64, upper: bool) -> f64 {
    let single = f64::from(value as f32);
    match upper {
        true => value.max(single),
        false => value.min(single),
    }
}

struct FileStatistics<'a> {
    table: &'a Table,
    files: &'a [Arc<DataFile>],
}

impl FileStatistics<'_> {
    fn values(
        &self,
        column: &EngineColumn,
        pick: impl Fn(&ColumnStats) -> Option<String>,
    ) -> Option<ArrayRef> {
        let column = self.table.column(column.name())?;
        let texts: Vec<Option<String>> =
            self.files.iter().map(|f| f.stats.get(&column.id).and_then(&pick)).collect();
        types::parse_values(&texts, &column.field).ok()
    }

    fn bounds(
        &self,
        column: &EngineColumn,
        pick: impl Fn(&ColumnStats) -> Option<String>,
        upper: bool,
    ) -> Option<ArrayRef> {
        let values = self.values(column, pick)?;
        let Some(doubles) = values.as_primitive_opt::<Float64Type>() else { return Some(values) };
        Some(Arc::new(doubles.unary::<_, Float64Type>(|value| outer(value, upper))))
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, column: &EngineColumn) -> Option<ArrayRef> {
        self.bounds(column, |stats| stats.min.clone(), false)
    }

    fn max_values(&self, column: &EngineColumn) -> Option<ArrayRef> {
        // NaN is above every number and in no bound; a file that does not say may hold one.
        let float = self.table.column(column.name())?.field.data_type().is_floating();
        let max = |stats: &ColumnStats| match float && stats.contains_nan != Some(false) {
            true => None,
            false => stats.max.clone(),
        };
        self.bounds(column, max, true)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &EngineColumn) -> Option<ArrayRef> {
        let column = self.table.column(column.name())?;
        let nulls = self.files.iter().map(|f| f.stats.get(&column.id).map(|s| s.nulls));
        Some(Arc::new(nulls.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.files.iter().map(|f| Some(f.rows)).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &EngineColumn, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_for_singles_and_doubles() {
        let single = f64::from(0.1_f32);
        assert!(single > 0.1);
        assert_eq!((outer(0.1, true), outer(0.1, false)), (single, 0.1));
        assert_eq!((outer(-0.1, true), outer(-0.1, false)), (-0.1, -single));
        assert_eq!((outer(2.5, true), outer(2.5, false)), (2.5, 2.5));
        assert!(outer(f64::NAN, true).is_nan());
    }
}
