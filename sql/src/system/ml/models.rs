//! Models, their versions, aliases, metrics, and what was done with them.

use catalog::registry::{Told, Training};

use super::super::{Cell, Columns};
use crate::models::{Trial, models};
use crate::plan::{Environment, Lakes};

pub(super) const MODELS: Columns = &[
    ("schema_name", 't'),
    ("model_name", 't'),
    ("kind", 't'),
    ("newest_version", 'i'),
    ("champion", 'i'),
    ("candidate", 'i'),
    ("versions", 'i'),
    ("description", 't'),
];
pub(super) const MODEL_VERSIONS: Columns = &[
    ("schema_name", 't'),
    ("model_name", 't'),
    ("version", 'i'),
    ("aliases", 't'),
    ("kind", 't'),
    ("options", 't'),
    ("transform", 't'),
    ("query", 't'),
    ("snapshot_id", 'l'),
    ("created_at", 'z'),
    ("seconds", 'd'),
    ("training_rows", 'l'),
    ("test_rows", 'l'),
    ("tags", 't'),
    ("parent", 'i'),
    ("bytes", 'l'),
    ("sha256", 't'),
    ("folder", 't'),
    ("code_version", 't'),
];
pub(super) const MODEL_ALIASES: Columns =
    &[("schema_name", 't'), ("model_name", 't'), ("alias", 't'), ("version", 'i')];
pub(super) const MODEL_METRICS: Columns =
    &[("schema_name", 't'), ("model_name", 't'), ("version", 'i'), ("metric", 't'), ("value", 'd')];
pub(super) const MODEL_EVENTS: Columns = &[
    ("schema_name", 't'),
    ("model_name", 't'),
    ("at", 'z'),
    ("role", 't'),
    ("event", 't'),
    ("version", 'i'),
    ("alias", 't'),
    ("version_before", 'i'),
];

pub(super) const TRIALS: Columns = &[
    ("schema_name", 't'),
    ("model_name", 't'),
    ("version", 'i'),
    ("trial", 'i'),
    ("options", 't'),
    ("training_rows", 'l'),
    ("metric", 't'),
    ("value", 'd'),
    ("seconds", 'd'),
    ("chosen", 'b'),
];

/// Those of this server that are under way; also `pg_stat_progress_create_model`.
pub(super) const TRAININGS: Columns = &[
    ("schema_name", 't'),
    ("model_name", 't'),
    ("phase", 't'),
    ("done", 'l'),
    ("total", 'l'),
    ("loss", 'd'),
    ("trial", 'l'),
    ("trials", 'l'),
];

/// Numbers of versions fit, as they count from 1.
fn number(number: u32) -> Cell {
    Cell::Integer(i32::try_from(number).unwrap_or(i32::MAX))
}

fn optional(version: Option<u32>) -> Cell {
    version.map_or(Cell::Null, number)
}

fn long(value: u64) -> Cell {
    Cell::Long(i64::try_from(value).unwrap_or(i64::MAX))
}

fn json(map: &std::collections::BTreeMap<String, String>) -> Cell {
    serde_json::to_string(map).map_or(Cell::Null, Cell::Text)
}

fn time(rfc3339: &str) -> Cell {
    let time = chrono::DateTime::parse_from_rfc3339(rfc3339);
    time.map_or(Cell::Null, |time| Cell::Time(time.timestamp_micros()))
}

fn under_way(training: &Training) -> Vec<Cell> {
    let (run, Told { phase, done, total, loss }) = training.told();
    vec![
        training.schema.as_str().into(),
        training.model.as_str().into(),
        phase.into(),
        long(done),
        if total == 0 { Cell::Null } else { long(total) },
        loss.map_or(Cell::Null, Cell::Float),
        run.map_or(Cell::Null, |run| long(run.number)),
        run.map_or(Cell::Null, |run| long(run.of)),
    ]
}

fn trial(version: u32, trial: &Trial) -> Vec<Cell> {
    vec![
        number(version),
        number(trial.number),
        json(&trial.options),
        long(trial.rows),
        trial.metric.as_str().into(),
        trial.value.map_or(Cell::Null, Cell::Float),
        Cell::Float(trial.seconds),
        Cell::Boolean(trial.chosen),
    ]
}

/// The rows of one of these relations, for each model.
pub(super) fn rows(environment: &Environment, lakes: &Lakes, relation: &str) -> Vec<Vec<Cell>> {
    if relation == "trainings" {
        return environment.lake.trainings().iter().map(|training| under_way(training)).collect();
    }
    let mut rows = Vec::new();
    for (schema, name, model) in models(lakes.main.state()) {
        let mut push = |cells: Vec<Cell>| {
            rows.push([Cell::from(schema), Cell::from(name)].into_iter().chain(cells).collect());
        };
        let alias = |alias: &str| optional(model.aliases.get(alias).copied());
        match relation {
            "models" => {
                let newest = model.versions.last();
                push(vec![
                    newest.map(|version| version.kind.clone()).into(),
                    optional(newest.map(|version| version.number)),
                    alias(crate::models::CHAMPION),
                    alias(crate::models::CANDIDATE),
                    number(model.versions.len() as u32),
                    model.comment.clone().into(),
                ]);
            }
            "model_versions" => model.versions.iter().for_each(|version| {
                let aliases: Vec<&str> = model.aliases_of(version.number).collect();
                push(vec![
                    number(version.number),
                    aliases.join(", ").into(),
                    version.kind.as_str().into(),
                    json(&version.options),
                    version.transform.clone().into(),
                    version.query.as_str().into(),
                    version.snapshot_id.into(),
                    time(&version.created_at),
                    Cell::Float(version.seconds),
                    long(version.rows),
                    long(version.test_rows),
                    json(&version.tags),
                    optional(version.parent),
                    long(version.bytes),
                    version.sha256.as_str().into(),
                    version.folder.as_str().into(),
                    version.code_version.as_str().into(),
                ]);
            }),
            "model_aliases" => model.aliases.iter().for_each(|(alias, version)| {
                push(vec![alias.as_str().into(), number(*version)]);
            }),
            "model_metrics" => model.versions.iter().for_each(|version| {
                for (metric, value) in &version.metrics {
                    let cells = [number(version.number), metric.as_str().into()];
                    push(cells.into_iter().chain([Cell::Float(*value)]).collect());
                }
            }),
            "trials" => model.versions.iter().for_each(|version| {
                version.trials.iter().for_each(|of| push(trial(version.number, of)));
            }),
            _ => model.events.iter().for_each(|event| {
                push(vec![
                    time(&event.at),
                    event.by.as_str().into(),
                    event.event.as_str().into(),
                    optional(event.version),
                    event.alias.clone().into(),
                    optional(event.before),
                ]);
            }),
        }
    }
    rows
}
