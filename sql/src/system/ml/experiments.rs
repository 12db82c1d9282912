//! Experiments, their metrics, and what was done with them.

use chrono::DateTime;

use super::super::{Cell, Columns};
use crate::experiments::{End, Experiment, MILLION, events, experiments, now};
use crate::functions::identifier;
use crate::parse::{Metric, MetricRole};
use crate::plan::{Environment, Lakes};

pub(super) const EXPERIMENTS: Columns = &[
    ("schema_name", 't'),
    ("experiment_name", 't'),
    ("status", 't'),
    ("unit", 't'),
    ("salt", 't'),
    ("arms", 't'),
    ("control", 't'),
    ("layer", 't'),
    ("layer_ranges", 't'),
    ("holdout", 'd'),
    ("ramp", 'd'),
    ("start_at", 'z'),
    ("ended_at", 'z'),
    ("shipped_arm", 't'),
    ("description", 't'),
];
pub(super) const METRICS: Columns = &[
    ("schema_name", 't'),
    ("experiment_name", 't'),
    ("position", 'i'),
    ("role", 't'),
    ("metric", 't'),
    ("value", 't'),
    ("divisor", 't'),
    ("lower_is_better", 'b'),
    ("max_regression", 'd'),
    ("relative", 'b'),
];
pub(super) const EVENTS: Columns = &[
    ("schema_name", 't'),
    ("experiment_name", 't'),
    ("at", 'z'),
    ("role", 't'),
    ("event", 't'),
    ("ramp", 'd'),
    ("arm", 't'),
    ("reason", 't'),
];

fn time(rfc3339: &str) -> Cell {
    let time = DateTime::parse_from_rfc3339(rfc3339);
    time.map_or(Cell::Null, |time| Cell::Time(time.timestamp_micros()))
}

/// The rows of one of these relations, for each experiment.
pub(super) fn rows(environment: &Environment, lakes: &Lakes, relation: &str) -> Vec<Vec<Cell>> {
    let state = lakes.main.state();
    if relation == "experiment_events" {
        let row = |(schema, name, event): (String, String, crate::experiments::Event)| {
            vec![
                schema.into(),
                name.into(),
                time(&event.at),
                event.by.into(),
                event.event.into(),
                Cell::Float(event.ramp),
                event.arm.into(),
                event.reason.into(),
            ]
        };
        return events(state).into_iter().map(row).collect();
    }
    let mut rows = Vec::new();
    for (schema, name, experiment) in experiments(state) {
        let mut push = |cells: Vec<Cell>| {
            rows.push([Cell::from(schema), Cell::from(name)].into_iter().chain(cells).collect());
        };
        match relation {
            "experiments" => push(described(&experiment, experiment.status(now(environment)))),
            _ => {
                for (metric, position) in experiment.metrics.iter().zip(1..) {
                    push(of_metric(metric, position));
                }
            }
        }
    }
    rows
}

fn described(experiment: &Experiment, status: &str) -> Vec<Cell> {
    let arms =
        experiment.arms.iter().map(|arm| format!("{} {}", identifier(&arm.name), arm.weight));
    let (layer, ranges) = match &experiment.layer {
        None => (Cell::Null, Cell::Null),
        Some(layer) => {
            let share = |millionths: &u32| f64::from(*millionths) / f64::from(MILLION);
            let range = |(from, to): &(u32, u32)| format!("[{},{})", share(from), share(to));
            let ranges: Vec<String> = layer.ranges.iter().map(range).collect();
            (layer.name.as_str().into(), ranges.join(" ").into())
        }
    };
    let ended = experiment.events.iter().rev().find(|e| matches!(&*e.event, "stop" | "ship"));
    let shipped = match &experiment.end {
        Some(End::Shipped(arm)) => Some(arm.clone()),
        Some(End::Stopped) | None => None,
    };
    vec![
        status.into(),
        experiment.unit.as_str().into(),
        experiment.salt.as_str().into(),
        arms.collect::<Vec<_>>().join(", ").into(),
        experiment.control().into(),
        layer,
        ranges,
        Cell::Float(experiment.holdout),
        Cell::Float(experiment.ramp),
        experiment.start_at.as_deref().map_or(Cell::Null, time),
        ended.map_or(Cell::Null, |event| time(&event.at)),
        shipped.into(),
        experiment.comment.clone().into(),
    ]
}

fn of_metric(metric: &Metric, position: i32) -> Vec<Cell> {
    let is_guardrail = metric.role == MetricRole::Guardrail;
    let limit = if is_guardrail { Cell::Float(metric.max_regression) } else { Cell::Null };
    vec![
        position.into(),
        metric.role.name().into(),
        metric.name.as_str().into(),
        metric.value.as_str().into(),
        metric.divisor.clone().into(),
        Cell::Boolean(metric.lower_is_better),
        limit,
        if is_guardrail { Cell::Boolean(metric.relative) } else { Cell::Null },
    ]
}
