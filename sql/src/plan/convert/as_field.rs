//! `as_field(value)`: a value as one of another field: of the same type to Arrow, of another to
//! Postgres, which only the field's metadata tell. NULL stays NULL.

use std::sync::Arc;

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result as EngineResult, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The value as one of the field, whose type is the same but for metadata of items.
pub(super) fn call(value: Expr, field: FieldRef) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = Arc::new(ScalarUDF::from(AsField { field, signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value]))
}

/// The rows of a recursive term have the fields of the first one, and so has the work table: the
/// engine takes no others.
pub(super) fn recursive(node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    let LogicalPlan::RecursiveQuery(query) = &node else { return Ok(Transformed::no(node)) };
    let first = query.static_term.schema();
    let step = over(query.recursive_term.as_ref().clone(), &query.name, first)?;
    let changed = step.transformed;
    let step = step.data;
    let alike = |one: &FieldRef, other: &FieldRef| {
        one.metadata() == other.metadata() && one.data_type() == other.data_type()
    };
    let all_alike = first.fields().iter().zip(step.schema().fields()).all(|(a, b)| alike(a, b));
    if all_alike && !changed {
        return Ok(Transformed::no(node));
    }
    let schema = Arc::clone(step.schema());
    let items = first.fields().iter().zip(schema.iter()).map(|(to, (qualifier, field))| {
        let column = Expr::Column(Column::from((qualifier, field)));
        if alike(to, field) {
            return column;
        }
        let to = Arc::new(Field::clone(to).with_nullable(field.is_nullable()));
        call(column, to).alias_qualified(qualifier.cloned(), field.name())
    });
    let items: Vec<Expr> = items.collect();
    let step = LogicalPlanBuilder::from(step).project(items)?.build()?;
    let (name, first) = (query.name.clone(), Arc::clone(&query.static_term));
    let query = RecursiveQuery::try_new(name, first, Arc::new(step), query.is_distinct)?;
    Ok(Transformed::yes(LogicalPlan::RecursiveQuery(query)))
}

/// A recursive term over a work table of the types of the first term, which may have got others
/// than when it was planned.
fn over(step: LogicalPlan, name: &str, first: &DFSchema) -> EngineResult<Transformed<LogicalPlan>> {
    let types = |schema: &Schema| -> Vec<DataType> {
        schema.fields().iter().map(|field| field.data_type().clone()).collect()
    };
    step.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else {
            return node.recompute_schema().map(Transformed::no);
        };
        let provider = source_as_provider(&scan.source).ok();
        let work = provider.as_ref().and_then(|provider| provider.downcast_ref::<CteWorkTable>());
        let known = scan.source.schema();
        if work.is_none_or(|work| work.name() != name) || types(&known) == types(first.as_arrow()) {
            return Ok(Transformed::no(node));
        }
        let fields =
            known.fields().iter().zip(first.fields()).map(|(known, first)| {
                Field::clone(first).with_name(known.name()).with_nullable(true)
            });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let source = provider_as_source(Arc::new(CteWorkTable::new(name, schema)));
        let (table, columns) = (scan.table_name.clone(), scan.projection.clone());
        LogicalPlanBuilder::scan(table, source, columns)?.build().map(Transformed::yes)
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AsField {
    field: FieldRef,
    signature: Signature,
}

impl ScalarUDFImpl for AsField {
    fn name(&self) -> &str {
        "as_field"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> EngineResult<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let given = &arguments.args[0];
        let to = self.field.data_type();
        if given.data_type() == *to {
            return Ok(given.clone());
        }
        let array = cast(&given.to_array(arguments.number_rows)?, to)?;
        Ok(match given {
            ColumnarValue::Scalar(_) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
            }
            ColumnarValue::Array(_) => ColumnarValue::Array(array),
        })
    }
}
