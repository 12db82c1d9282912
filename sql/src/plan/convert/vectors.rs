//! Vectors: casts to them, lists of them, `sum` and `avg`. The functions are those of `udfs`.

use std::sync::Arc;

use catalog::MODEL_KEY;
use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Between, Cast, InList, WindowFunction};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, Signature, Volatility,
    WindowFunctionDefinition, cast, lit, not,
};
use kernels::vectors::Kind;

use super::{Rules, as_field, is_text};
use crate::error::Error;
use crate::types::shown;

/// Refuses casts that pgvector has not: to vectors there are those of arrays of integers, floats
/// and numerics, from them that to `real[]`.
fn check(cast: &Cast, schema: &DFSchema) -> EngineResult<()> {
    let Ok(from) = cast.expr.get_type(schema) else { return Ok(()) };
    match castable(&from, cast.field.data_type()) {
        true => Ok(()),
        false => {
            let name = |of: &DataType| shown(&Field::new("", of.clone(), true));
            let (from, to) = (name(&from), name(cast.field.data_type()));
            Err(Error::new("42846", format!("cannot cast type {from} to {to}")).into())
        }
    }
}

/// Whether there is a cast, where one of the two is a vector.
pub(super) fn castable(from: &DataType, to: &DataType) -> bool {
    let element = |of: &DataType| match of {
        DataType::List(element) | DataType::LargeList(element) => Some(element.data_type().clone()),
        _ => None,
    };
    match (VectorType::of(from), VectorType::of(to)) {
        (None, Some(_)) => match element(from) {
            Some(
                DataType::Int32
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Null,
            ) => true,
            // What has more dimensions is refused as such.
            Some(nested) => nested.is_nested(),
            None => is_text(from) || from.is_null(),
        },
        (Some(_), None) => match element(to) {
            Some(element) => element == DataType::Float32,
            None => !to.is_nested(),
        },
        _ => true,
    }
}

/// The type of vectors of two types that meet: pgvector makes halfvecs of vectors by itself.
pub(super) fn common(one: VectorType, other: VectorType) -> VectorType {
    VectorType {
        kind: if one.kind == other.kind { one.kind } else { Kind::Half },
        dimension: one.dimension.filter(|_| one.dimension == other.dimension),
    }
}

impl Rules<'_> {
    /// A value as a vector, or a vector as an array; None: it is one already, or something else is
    /// wanted.
    pub(super) fn vector(&self, value: &Expr, from: &DataType, to: &DataType) -> Option<Expr> {
        if from == to || !castable(from, to) {
            return None;
        }
        if let (Some(_), None, DataType::List(_)) = (VectorType::of(from), VectorType::of(to), to) {
            // The engine's cast keeps the tag of the vector's column.
            let array = Arc::new(Field::new("value", to.clone(), true));
            return Some(as_field::call(cast(value.clone(), to.clone()), array));
        }
        let of = VectorType::of(to)?;
        let name = format!("to_{}", of.kind.name());
        let function = self.engine.scalar_functions().get(&name)?;
        let like = ScalarValue::try_from(to).ok()?;
        Some(function.call(vec![value.clone(), lit(like)]))
    }

    fn compared(&self, name: &str, left: &Expr, right: &Expr) -> Option<Expr> {
        let function = self.engine.scalar_functions().get(name)?;
        Some(function.call(vec![left.clone(), right.clone()]))
    }

    /// `v IN (…)`: whether it is equal to one, whatever their dimensions.
    pub(super) fn among_vectors(&self, list: &InList) -> Option<Expr> {
        let equal = |item: &Expr| self.compared("vector_eq", &list.expr, item);
        let found = disjunction(list.list.iter().map(equal).collect::<Option<Vec<_>>>()?)?;
        Some(if list.negated { not(found) } else { found })
    }

    /// `v BETWEEN a AND b`.
    pub(super) fn between_vectors(&self, between: &Between) -> Option<Expr> {
        let low = self.compared("vector_ge", &between.expr, &between.low)?;
        let high = self.compared("vector_le", &between.expr, &between.high)?;
        let within = conjunction([low, high])?;
        Some(if between.negated { not(within) } else { within })
    }
}

/// A call of `sum` or `avg` with the function that it is of.
///
/// Errors: 42846 for casts that there are not, 55000 for distances between vectors of two models.
pub(super) fn settled(expression: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    match &expression {
        Expr::Cast(cast) => check(cast, schema)?,
        Expr::ScalarFunction(call) if DISTANCES.contains(&call.name()) => {
            if let [left, right] = call.args.as_slice() {
                of_one_model(model(left, schema).as_deref(), model(right, schema).as_deref())?;
            }
        }
        _ => {}
    }
    match with_function(&expression, schema) {
        None => Ok(Transformed::no(expression)),
        Some(call) => {
            let name = expression.schema_name().to_string();
            Ok(Transformed::yes(call.alias_if_changed(name)?))
        }
    }
}

/// What says how near two vectors are.
const DISTANCES: [&str; 5] =
    ["cosine_distance", "inner_product", "l1_distance", "l2_distance", "negative_inner_product"];

/// The model version that a value's vectors are of.
pub(super) fn model(value: &Expr, schema: &DFSchema) -> Option<String> {
    match value {
        Expr::Cast(cast) => model(&cast.expr, schema),
        value => value.to_field(schema).ok()?.1.metadata().get(MODEL_KEY).cloned(),
    }
}

/// Refuses vectors of two versions of a model, or of two models, side by side: nothing is near to
/// anything then.
pub(super) fn of_one_model(one: Option<&str>, other: Option<&str>) -> EngineResult<()> {
    let (Some((one, of)), Some((other, from))) =
        (one.and_then(|m| m.rsplit_once(' ')), other.and_then(|m| m.rsplit_once(' ')))
    else {
        return Ok(());
    };
    if of == from {
        return Ok(());
    }
    let message = format!("vectors of model {one} do not go with those of {other}");
    Err(Error::new("55000", message)
        .with_hint(
            "Ask for both of one version, as in embed_user(id, 'name@1'); or make the stored \
             vectors anew (TRUNCATE forgets which version they were of).",
        )
        .into())
}

fn with_function(call: &Expr, schema: &DFSchema) -> Option<Expr> {
    let of = |function: &AggregateUDF, args: &[Expr]| {
        let summed = function.inner().downcast_ref::<Summed>()?;
        let of = args.first()?.get_type(schema);
        Some(match of.is_ok_and(|of| VectorType::of(&of).is_some()) {
            true => Arc::clone(&summed.vectors),
            false => Arc::clone(&summed.usual),
        })
    };
    Some(match call {
        Expr::AggregateFunction(call) => {
            let (func, params) = (of(&call.func, &call.params.args)?, call.params.clone());
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        Expr::WindowFunction(call) => {
            let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else { return None };
            let function = of(function, &call.params.args)?;
            let (fun, params) =
                (WindowFunctionDefinition::AggregateUDF(function), call.params.clone());
            Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
        }
        _ => return None,
    })
}

/// `sum` or `avg`, of vectors or of anything else: which is told by the arguments, and until then a
/// call is of this. None of other functions.
pub(crate) fn summed(
    name: &str,
    usual: &Arc<AggregateUDF>,
    functions: impl Fn(&str) -> Option<Arc<AggregateUDF>>,
) -> Option<Arc<AggregateUDF>> {
    if !matches!(name, "sum" | "avg") {
        return None;
    }
    let vectors = functions(&format!("vector_{name}"))?;
    let signature = Signature::user_defined(Volatility::Immutable);
    let summed = Summed { usual: Arc::clone(usual), vectors, signature };
    Some(Arc::new(AggregateUDF::from(summed)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Summed {
    usual: Arc<AggregateUDF>,
    vectors: Arc<AggregateUDF>,
    signature: Signature,
}

impl Summed {
    fn of(&self, given: &[DataType]) -> &AggregateUDF {
        match given.first().and_then(VectorType::of) {
            Some(_) => &self.vectors,
            None => &self.usual,
        }
    }
}

impl AggregateUDFImpl for Summed {
    fn name(&self) -> &str {
        self.usual.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> EngineResult<DataType> {
        self.of(given).return_type(given)
    }

    fn coerce_types(&self, given: &[DataType]) -> EngineResult<Vec<DataType>> {
        let fields: Vec<FieldRef> =
            given.iter().map(|of| Arc::new(Field::new("", of.clone(), true))).collect();
        let fields = fields_with_udf(&fields, self.of(given))?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> EngineResult<Box<dyn Accumulator>> {
        let given: Vec<DataType> =
            arguments.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        self.of(&given).accumulator(arguments)
    }
}
