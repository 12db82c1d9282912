//! What a jsonpath finds in a value.
//!
//! In lax mode a step into an array goes into its items, and what is not there is nothing; in
//! strict mode both are errors. Inside a predicate an error makes the answer unknown.

use super::super::document::Node;
use super::super::number;
use super::language::{Expression, JsonPath, Method, Step};
use crate::error::Error;

type Result<T> = std::result::Result<T, Error>;

/// What names mean: `$`, `$x`, `@`, `last`.
#[derive(Clone, Copy)]
struct Scope<'s, 'a> {
    root: &'s Node<'a>,
    variables: &'s Node<'a>,
    current: &'s Node<'a>,
    last: Option<usize>,
    strict: bool,
}

/// The values that the path finds.
pub(super) fn found<'a>(
    path: &JsonPath,
    root: &Node<'a>,
    variables: &Node<'a>,
) -> Result<Vec<Node<'a>>> {
    let strict = path.strict;
    values(&path.expression, Scope { root, variables, current: root, last: None, strict })
}

fn values<'a>(expression: &Expression, scope: Scope<'_, 'a>) -> Result<Vec<Node<'a>>> {
    match expression {
        Expression::Root => Ok(vec![scope.root.clone()]),
        Expression::Current => Ok(vec![scope.current.clone()]),
        Expression::Literal(node) => Ok(vec![node.clone()]),
        Expression::Last => match scope.last {
            Some(last) => Ok(vec![Node::Number(last.to_string().into())]),
            None => Err(Error::new("42601", "LAST is allowed only in array subscripts")),
        },
        Expression::Variable(name) => match scope.variables.member(name) {
            Some(value) => Ok(vec![value.clone()]),
            None => {
                let message = format!("could not find jsonpath variable \"{name}\"");
                Err(Error::new("42704", message))
            }
        },
        Expression::Access(base, step) => {
            let mut found = Vec::new();
            for node in values(base, scope)? {
                taken(node, step, scope, &mut found)?;
            }
            Ok(found)
        }
        Expression::Negated(inner) => {
            let numbers = unwrapped(values(inner, scope)?, scope);
            numbers.into_iter().map(|node| arithmetic('-', &zero(), &node)).collect()
        }
        Expression::Arithmetic(op, left, right) => {
            let one = |side: &Expression, name: &str| match unwrapped(values(side, scope)?, scope)
                .as_slice()
            {
                [one @ Node::Number(_)] => Ok(one.clone()),
                _ => {
                    let message = format!(
                        "{name} operand of jsonpath operator {op} is not a single numeric value"
                    );
                    Err(Error::new("22038", message))
                }
            };
            Ok(vec![arithmetic(*op, &one(left, "left")?, &one(right, "right")?)?])
        }
        predicate => Ok(vec![truth(predicate, scope).map_or(Node::Null, Node::Bool)]),
    }
}

fn zero() -> Node<'static> {
    Node::Number("0".into())
}

/// In lax mode the items of arrays instead of the arrays.
fn unwrapped<'a>(nodes: Vec<Node<'a>>, scope: Scope<'_, 'a>) -> Vec<Node<'a>> {
    let items = |node| match node {
        Node::Array(items) if !scope.strict => items,
        other => vec![other],
    };
    nodes.into_iter().flat_map(items).collect()
}

fn taken<'a>(
    node: Node<'a>,
    step: &Step,
    scope: Scope<'_, 'a>,
    out: &mut Vec<Node<'a>>,
) -> Result<()> {
    let strict = |code, message: String| match scope.strict {
        true => Err(Error::new(code, message)),
        false => Ok(()),
    };
    match (step, node) {
        (Step::AnyDepth, node) => descend(node, out),
        (Step::Method(Method::Type), node) => out.push(Node::String(node.kind().into())),
        (Step::Method(Method::Size), Node::Array(items)) => {
            out.push(Node::Number(items.len().to_string().into()));
        }
        (Step::Method(Method::Size), _) => {
            let message = "jsonpath item method .size() can only be applied to an array";
            strict("22039", message.into())?;
            out.push(Node::Number("1".into()));
        }
        (Step::AllItems, Node::Array(items)) => out.extend(items),
        (Step::AllItems, node) => {
            let message = "jsonpath wildcard array accessor can only be applied to an array";
            strict("22039", message.into())?;
            out.push(node);
        }
        (Step::Items(wanted), Node::Array(items)) => picked(&items, wanted, scope, out)?,
        (Step::Items(wanted), node) => {
            let message = "jsonpath array accessor can only be applied to an array";
            strict("22039", message.into())?;
            picked(&[node], wanted, scope, out)?;
        }
        // The other steps go into arrays in lax mode.
        (step, Node::Array(items)) if !scope.strict => {
            for item in items {
                own(item, step, scope, out)?;
            }
        }
        (step, node) => own(node, step, scope, out)?,
    }
    Ok(())
}

/// A step on the value itself.
fn own<'a>(
    node: Node<'a>,
    step: &Step,
    scope: Scope<'_, 'a>,
    out: &mut Vec<Node<'a>>,
) -> Result<()> {
    let strict = |code, message: String| match scope.strict {
        true => Err(Error::new(code, message)),
        false => Ok(()),
    };
    match (step, &node) {
        (Step::Key(key), Node::Object(_)) => match node.member(key) {
            Some(value) => out.push(value.clone()),
            None => strict("2203A", format!("JSON object does not contain key \"{key}\""))?,
        },
        (Step::Key(_), _) => {
            let message = "jsonpath member accessor can only be applied to an object";
            strict("2203A", message.into())?;
        }
        (Step::AnyKey, Node::Object(members)) => {
            out.extend(members.iter().map(|(_, value)| value.clone()));
        }
        (Step::AnyKey, _) => {
            let message = "jsonpath wildcard member accessor can only be applied to an object";
            strict("2203C", message.into())?;
        }
        (Step::Filter(predicate), current) => {
            if truth(predicate, Scope { current, ..scope }) == Some(true) {
                out.push(node);
            }
        }
        (Step::Method(method), _) => out.push(computed(*method, node)?),
        _ => {}
    }
    Ok(())
}

fn descend<'a>(node: Node<'a>, out: &mut Vec<Node<'a>>) {
    out.push(node.clone());
    match node {
        Node::Array(items) => items.into_iter().for_each(|item| descend(item, out)),
        Node::Object(members) => members.into_iter().for_each(|(_, item)| descend(item, out)),
        _ => {}
    }
}

fn picked<'a>(
    items: &[Node<'a>],
    wanted: &[(Expression, Option<Expression>)],
    scope: Scope<'_, 'a>,
    out: &mut Vec<Node<'a>>,
) -> Result<()> {
    let scope = Scope { last: Some(items.len().wrapping_sub(1)), ..scope };
    let index = |expression: &Expression| match values(expression, scope)?.as_slice() {
        // As in Postgres a fraction is cut off.
        [Node::Number(text)] => {
            let whole = text.split('.').next().unwrap_or_default();
            whole.parse::<i64>().map_err(|_| outside())
        }
        _ => {
            let message = "jsonpath array subscript is not a single numeric value";
            Err(Error::new("22033", message))
        }
    };
    let count = items.len() as i64;
    for (first, last) in wanted {
        let first = match (first, count) {
            (Expression::Last, 0) => -1,
            (first, _) => index(first)?,
        };
        let last = last.as_ref().map_or(Ok(first), index)?;
        if scope.strict && (first < 0 || first > last || last >= count) {
            return Err(outside());
        }
        let range = first.max(0)..(last.saturating_add(1)).min(count);
        out.extend(range.filter_map(|at| items.get(usize::try_from(at).ok()?).cloned()));
    }
    Ok(())
}

fn outside() -> Error {
    Error::new("22033", "jsonpath array subscript is out of bounds")
}

fn computed<'a>(method: Method, node: Node<'a>) -> Result<Node<'a>> {
    let name = match method {
        Method::Abs => "abs",
        Method::Floor => "floor",
        Method::Ceiling => "ceiling",
        _ => "double",
    };
    let text = match (&node, method) {
        (Node::Number(text), _) => text.clone(),
        (Node::String(text), Method::Double) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            number::normal(text)?.into_owned().into()
        }
        (_, Method::Double) => {
            let message = "jsonpath item method .double() can only be applied to a string or \
                           numeric value";
            return Err(Error::new("22036", message));
        }
        _ => {
            let message =
                format!("jsonpath item method .{name}() can only be applied to a numeric value");
            return Err(Error::new("22036", message));
        }
    };
    let (unscaled, scale) = decimal(&text)?;
    let unit = 10_i128.pow(scale);
    let whole = match method {
        Method::Abs => return Ok(written(unscaled.abs(), scale)),
        Method::Floor => unscaled.div_euclid(unit),
        Method::Ceiling => -(-unscaled).div_euclid(unit),
        _ => return Ok(Node::Number(text.into_owned().into())),
    };
    Ok(written(whole, 0))
}

/// Unscaled digits and scale.
fn decimal(text: &str) -> Result<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().map_err(|_| too_wide())?;
    match u32::try_from(fraction.len()) {
        // The least integer has no positive counterpart.
        Ok(scale @ 0..=37) if unscaled != i128::MIN => Ok((unscaled, scale)),
        _ => Err(too_wide()),
    }
}

fn too_wide() -> Error {
    Error::new("22003", "value overflows numeric format")
}

fn written(unscaled: i128, scale: u32) -> Node<'static> {
    let sign = if unscaled < 0 { "-" } else { "" };
    let width = scale as usize + 1;
    let digits = format!("{:0width$}", unscaled.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let point = if scale > 0 { "." } else { "" };
    Node::Number(format!("{sign}{whole}{point}{fraction}").into())
}

fn arithmetic(op: char, left: &Node<'_>, right: &Node<'_>) -> Result<Node<'static>> {
    let (Node::Number(left), Node::Number(right)) = (left, right) else {
        let message = format!("operand of unary jsonpath operator {op} is not a numeric value");
        return Err(Error::new("2203B", message));
    };
    let ((a, a_scale), (b, b_scale)) = (decimal(left)?, decimal(right)?);
    if op == '*' {
        let product = a.checked_mul(b).ok_or_else(too_wide)?;
        return Ok(written(product, a_scale + b_scale));
    }
    let scale = a_scale.max(b_scale);
    let at_scale = |value: i128, own: u32| {
        10_i128.checked_pow(scale - own).and_then(|unit| value.checked_mul(unit))
    };
    let (a, b) = (at_scale(a, a_scale), at_scale(b, b_scale));
    let (a, b) = (a.ok_or_else(too_wide)?, b.ok_or_else(too_wide)?);
    let result = match op {
        '+' => a.checked_add(b),
        '-' => a.checked_sub(b),
        _ if b == 0 => return Err(Error::new("22012", "division by zero")),
        _ => a.checked_rem(b),
    };
    Ok(written(result.ok_or_else(too_wide)?, scale))
}

/// Whether a predicate holds; None: unknown.
fn truth(predicate: &Expression, scope: Scope<'_, '_>) -> Option<bool> {
    match predicate {
        Expression::And(left, right) => match (truth(left, scope), truth(right, scope)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Expression::Or(left, right) => match (truth(left, scope), truth(right, scope)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Expression::Not(inner) => truth(inner, scope).map(|holds| !holds),
        Expression::IsUnknown(inner) => Some(truth(inner, scope).is_none()),
        Expression::Exists(inner) => values(inner, scope).ok().map(|found| !found.is_empty()),
        Expression::Compared(op, left, right) => any(left, right, scope, |a, b| compared(op, a, b)),
        Expression::StartsWith(left, right) => any(left, right, scope, |a, b| match (a, b) {
            (Node::String(a), Node::String(b)) => Some(a.starts_with(b.as_ref())),
            _ => None,
        }),
        value => match values(value, scope).ok()?.as_slice() {
            [Node::Bool(holds)] => Some(*holds),
            _ => None,
        },
    }
}

/// Whether it holds for any pair of values.
fn any(
    left: &Expression,
    right: &Expression,
    scope: Scope<'_, '_>,
    holds: impl Fn(&Node<'_>, &Node<'_>) -> Option<bool>,
) -> Option<bool> {
    let side = |side| values(side, scope).ok().map(|found| unwrapped(found, scope));
    let (left, right) = (side(left)?, side(right)?);
    let (mut found, mut unknown) = (false, false);
    for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
        match holds(a, b) {
            Some(true) if !scope.strict => return Some(true),
            Some(holds) => found |= holds,
            None if scope.strict => return None,
            None => unknown = true,
        }
    }
    match (found, unknown) {
        (true, _) => Some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

fn compared(op: &str, left: &Node<'_>, right: &Node<'_>) -> Option<bool> {
    let order = match (left, right) {
        (Node::Null, Node::Null)
        | (Node::Bool(_), Node::Bool(_))
        | (Node::String(_), Node::String(_))
        | (Node::Number(_), Node::Number(_)) => left.sort_key().cmp(&right.sort_key()),
        // Beside another type null is different, and nothing else.
        (Node::Null, _) | (_, Node::Null) => return Some(op == "<>"),
        _ => return None,
    };
    Some(match op {
        "=" => order.is_eq(),
        "<>" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}
