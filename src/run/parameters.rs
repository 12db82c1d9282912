//! The parameters of a plan: how many, and of which types.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::logical_expr::LogicalPlan;
use sql::changes::Change;

use super::{Optimized, Plan};
use crate::Error;

/// The parameters that a plan leaves open, in order; one of unknown type is text.
pub(crate) fn parameters(
    plan: &Plan,
    declared: &[Option<FieldRef>],
) -> Result<Vec<FieldRef>, Error> {
    let mut open = Open::default();
    open.add(plan);
    let Open { plans, told } = open;
    let mut found: HashMap<String, Option<FieldRef>> = HashMap::new();
    for plan in plans {
        for (name, field) in plan.get_parameter_fields()? {
            let known = found.entry(name).or_default();
            *known = known.take().or(field);
        }
    }
    let number = |name: &str| name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
    let count = found.keys().map(|name| number(name)).max().unwrap_or(0).max(declared.len());
    let field = |index: usize| {
        let of = |types: &[Option<FieldRef>]| types.get(index).cloned().flatten();
        let declared = of(declared).or_else(|| told.iter().find_map(|told| of(told)));
        let inferred = || found.get(&format!("${}", index + 1)).cloned().flatten();
        let text = || Arc::new(Field::new("", DataType::Utf8, true));
        declared.or_else(inferred).unwrap_or_else(text)
    };
    Ok((0..count).map(field).collect())
}

/// What parameters may be open in, and the types that clients are told of them.
#[derive(Default)]
struct Open<'a> {
    plans: Vec<&'a LogicalPlan>,
    told: Vec<&'a [Option<FieldRef>]>,
}

impl<'a> Open<'a> {
    fn add(&mut self, plan: &'a Plan) {
        match plan {
            Plan::Query(plan) | Plan::Optimized(Optimized { plan, .. }) | Plan::Cursor(_, plan) => {
                self.plans.push(plan)
            }
            Plan::Change(change) => self.add_change(change),
            Plan::With(steps, rest) => {
                steps.iter().for_each(|step| self.add_change(&step.change));
                self.add(rest);
            }
            Plan::Explain(_, inner) => self.add(inner),
            Plan::Command | Plan::Late | Plan::CopyIn(_) | Plan::CopyOut(..) => {}
        }
    }

    fn add_change(&mut self, change: &'a Change) {
        self.plans.push(&change.plan);
        self.plans.extend(change.returning.as_ref().map(|returning| &returning.plan));
        self.told.push(&change.told);
    }
}
