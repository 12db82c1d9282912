//! Calls with OVER in a feature view: which of them a label's time can be asked of.
//!
//! | OVER (… ORDER BY ts …)                 | what it is                                   |
//! |----------------------------------------|----------------------------------------------|
//! | `RANGE i PRECEDING`, in BETWEEN too    | a window at label time                       |
//! | the same, `EXCLUDE CURRENT ROW`        | one without the instant itself               |
//! | no bound, or UNBOUNDED PRECEDING       | a column like any other, if SQL knows it     |
//! | ROWS, GROUPS, DESC, FOLLOWING, …       | an error                                     |
//! | other functions than `told` knows      | an error                                     |

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    NamedWindowDefinition, NamedWindowExpr, OrderByExpr, SetExpr, Spanned, Value, WindowFrame,
    WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use crate::asof::Gathered;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::parse::EXCLUDE_CURRENT;

pub(super) type Place = Option<(u64, u64)>;

/// Most values of a list.
const MOST_VALUES: u64 = 10_000;

/// Where an expression is in the statement.
pub(super) fn place(node: &impl Spanned) -> Place {
    let start = node.span().start;
    (start.line > 0).then_some((start.line, start.column))
}

const HINT: &str = "Write RANGE INTERVAL '1 hour' PRECEDING. What a window in a subquery in FROM \
                    tells is taken as of the last row.";

/// 0A000, at a place.
pub(super) fn not_at_label(what: &str, place: Place) -> Error {
    Error::new("0A000", format!("{what} cannot be evaluated at a label's time"))
        .with_hint(HINT)
        .at_place(place)
}

/// The window definitions of a query.
pub(super) struct Windows {
    defined: Vec<NamedWindowDefinition>,
}

/// A window at label time, as its call says.
pub(super) struct Window {
    pub partition: Vec<Expr>,
    pub order: Expr,
    /// None: as far as rows go back.
    pub width: Option<Expr>,
    pub excludes_current: bool,
}

impl Windows {
    /// Those of a body that is one SELECT.
    pub fn of(body: &SetExpr) -> Self {
        let defined = match body {
            SetExpr::Select(select) => select.named_window.clone(),
            _ => Vec::new(),
        };
        Self { defined }
    }

    /// The window of a call; None: it is a column like any other.
    pub fn window(&self, call: &Function) -> Result<Option<Window>> {
        let Some(over) = &call.over else { return Ok(None) };
        let at = place(call);
        let told = told(call)?;
        let mut spec = self.spec(over, at, 0)?;
        let excluding = excluding(&spec.partition_by);
        if let Some(index) = excluding {
            spec.partition_by.remove(index);
        }
        let [OrderByExpr { expr, options, .. }] = spec.order_by.as_slice() else {
            let what = match spec.order_by.is_empty() {
                true => "a window without ORDER BY",
                false => "a window in the order of several columns",
            };
            return Err(not_at_label(what, at));
        };
        if options.asc == Some(false) {
            return Err(not_at_label("a window in descending order", at));
        }
        let (order, width) = (expr.clone(), width(spec.window_frame.as_ref(), at)?);
        let is_plain = !matches!(told, Gathered::Distinct | Gathered::Last(_) | Gathered::First(_));
        if width.is_none() && excluding.is_none() && is_plain {
            return Ok(None);
        }
        let (partition, excludes_current) = (spec.partition_by, excluding.is_some());
        Ok(Some(Window { partition, order, width, excludes_current }))
    }

    /// What a call has behind OVER, with what the window that it names says.
    fn spec(&self, over: &WindowType, at: Place, depth: usize) -> Result<WindowSpec> {
        let name = match over {
            WindowType::WindowSpec(spec) => match &spec.window_name {
                Some(name) => name,
                None => return Ok(spec.clone()),
            },
            WindowType::NamedWindow(name) => name,
        };
        let known = self.defined.iter().find(|defined| folded(&defined.0) == folded(name));
        let Some(NamedWindowDefinition(_, window)) = known.filter(|_| depth <= self.defined.len())
        else {
            let message = format!("window \"{}\" does not exist", folded(name));
            return Err(Error::new("42704", message).at_place(at));
        };
        let window = match window {
            NamedWindowExpr::NamedWindow(name) => WindowType::NamedWindow(name.clone()),
            NamedWindowExpr::WindowSpec(spec) => WindowType::WindowSpec(spec.clone()),
        };
        let mut named = self.spec(&window, at, depth + 1)?;
        if let WindowType::WindowSpec(own) = over {
            named.order_by.extend(own.order_by.iter().cloned());
            named.partition_by.extend(own.partition_by.iter().cloned());
            named.window_frame = own.window_frame.clone().or(named.window_frame);
        }
        Ok(named)
    }
}

/// Which of the keys of a window stands for EXCLUDE CURRENT.
pub(super) fn excluding(keys: &[Expr]) -> Option<usize> {
    keys.iter().position(|key| match key {
        Expr::Function(call) => function_name(call) == EXCLUDE_CURRENT,
        _ => false,
    })
}

fn function_name(call: &Function) -> String {
    call.name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default()
}

/// How far back a frame goes; None: all the way.
fn width(frame: Option<&WindowFrame>, at: Place) -> Result<Option<Expr>> {
    let Some(frame) = frame else { return Ok(None) };
    if frame.units != WindowFrameUnits::Range {
        return Err(not_at_label(&format!("a window of {}", frame.units), at));
    }
    if !matches!(frame.end_bound, None | Some(WindowFrameBound::CurrentRow)) {
        return Err(not_at_label("a window that does not end at the current row", at));
    }
    match &frame.start_bound {
        WindowFrameBound::Preceding(width) => Ok(width.as_deref().cloned()),
        WindowFrameBound::CurrentRow | WindowFrameBound::Following(_) => {
            Err(not_at_label("a window that begins at the current row", at))
        }
    }
}

/// The function of a call with OVER. Errors: 0A000 for others than those.
pub(super) fn told(call: &Function) -> Result<Gathered> {
    let name = function_name(call);
    let at = place(call);
    let other = || not_at_label(&format!("{name}() OVER"), at);
    let FunctionArguments::List(list) = &call.args else { return Err(other()) };
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    if !list.clauses.is_empty() || call.null_treatment.is_some() || !call.within_group.is_empty() {
        return Err(other());
    }
    let told = match name.as_str() {
        "count" if distinct => Gathered::Distinct,
        "count" => Gathered::Count,
        "sum" => Gathered::Sum,
        "avg" | "mean" => Gathered::Avg,
        "stddev" | "stddev_samp" => Gathered::Stddev,
        "min" => Gathered::Min,
        "max" => Gathered::Max,
        "last_n" | "first_n" => {
            let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(limit))] = list.args.as_slice()
            else {
                let message = format!("{name} takes a value and how many of them to keep");
                let hint = format!("Write {name}(item_id, 5) OVER (…).");
                return Err(Error::new("42883", message).with_hint(hint).at_place(at));
            };
            let limit = limit_of(&name, limit, at)?;
            if name == "last_n" { Gathered::Last(limit) } else { Gathered::First(limit) }
        }
        _ => return Err(other()),
    };
    if distinct && told != Gathered::Distinct {
        return Err(not_at_label(&format!("{name}(DISTINCT …) OVER"), at));
    }
    let expected = if matches!(told, Gathered::Last(_) | Gathered::First(_)) { 2 } else { 1 };
    if list.args.len() != expected {
        let message = format!("function {name} takes one argument");
        return Err(Error::new("42883", message).at_place(at));
    }
    Ok(told)
}

fn limit_of(name: &str, limit: &Expr, at: Place) -> Result<usize> {
    let number = match limit {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse::<u64>().ok(),
            _ => None,
        },
        _ => None,
    };
    let number = number.filter(|number| (1..=MOST_VALUES).contains(number));
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| {
        let message = format!("{name} keeps a constant number of values, from 1 to {MOST_VALUES}");
        Error::new("22023", message).at_place(at)
    })
}

/// The argument that is of rows; None: `*`.
pub(super) fn argument(call: &Function) -> Result<Option<Expr>> {
    let FunctionArguments::List(list) = &call.args else { return Ok(None) };
    match list.args.first() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) => Ok(Some(value.clone())),
        Some(FunctionArg::Unnamed(FunctionArgExpr::Wildcard)) => Ok(None),
        _ => Err(not_at_label(&format!("{call}"), place(call))),
    }
}
