//! `ml`: feature views, features, services and their lineage, vector indexes, models, experiments.

mod experiments;
mod indexes;
mod models;

use catalog::{Since, View};
use datafusion::arrow::record_batch::RecordBatch;

use super::{Cell, Columns, batch};
use crate::error::Result;
use crate::features::kept::Kept;
use crate::features::{self, FeatureView, Version, duration_text, manifests, services, views};
use crate::parse;
use crate::plan::{self, Environment, Lakes};

const FEATURE_VIEWS: Columns = &[
    ("schema_name", 't'),
    ("view_name", 't'),
    ("version", 'i'),
    ("is_current", 'b'),
    ("key", 't'),
    ("timestamp_column", 't'),
    ("created_column", 't'),
    ("ttl", 't'),
    ("delay", 't'),
    ("freshness", 't'),
    ("online", 'b'),
    ("owner", 't'),
    ("tags", 't'),
    ("description", 't'),
    ("snapshot_id", 'l'),
    ("query", 't'),
    ("refreshed_snapshot_id", 'l'),
    ("refreshed_at", 'z'),
    ("refreshed_rows", 'l'),
    ("refresh_lag", 't'),
];
const FEATURES: Columns = &[
    ("schema_name", 't'),
    ("view_name", 't'),
    ("version", 'i'),
    ("is_current", 'b'),
    ("feature_name", 't'),
    ("data_type", 't'),
    ("position", 'i'),
    ("description", 't'),
    ("window", 't'),
];
const FEATURE_SERVICES: Columns = &[
    ("schema_name", 't'),
    ("service_name", 't'),
    ("view_schema", 't'),
    ("view_name", 't'),
    ("version", 'i'),
    ("alias", 't'),
    ("label_key", 't'),
    ("feature_name", 't'),
    ("output_name", 't'),
    ("description", 't'),
];
const LINEAGE: Columns = &[
    ("schema_name", 't'),
    ("view_name", 't'),
    ("feature_name", 't'),
    ("source_schema", 't'),
    ("source_name", 't'),
    ("source_column", 't'),
];

const TRAINING_SETS: Columns = &[
    ("schema_name", 't'),
    ("table_name", 't'),
    ("snapshot_id", 'l'),
    ("created_at", 'z'),
    ("row_count", 'l'),
    ("feature_views", 't'),
    ("cutoff", 't'),
    ("null_rates", 't'),
    ("query", 't'),
];

/// Every relation. Their ids are numbers of places: a new one goes to the end.
pub(super) const RELATIONS: &[(&str, Columns)] = &[
    ("feature_views", FEATURE_VIEWS),
    ("features", FEATURES),
    ("feature_services", FEATURE_SERVICES),
    ("training_sets", TRAINING_SETS),
    ("lineage", LINEAGE),
    ("indexes", indexes::INDEXES),
    ("models", models::MODELS),
    ("model_versions", models::MODEL_VERSIONS),
    ("model_aliases", models::MODEL_ALIASES),
    ("model_metrics", models::MODEL_METRICS),
    ("model_events", models::MODEL_EVENTS),
    ("trials", models::TRIALS),
    ("trainings", models::TRAININGS),
    ("experiments", experiments::EXPERIMENTS),
    ("experiment_metrics", experiments::METRICS),
    ("experiment_events", experiments::EVENTS),
];

/// One relation's rows; None if there is none of this name.
pub(super) async fn table(
    environment: &Environment,
    lakes: &Lakes,
    name: &str,
) -> Result<Option<RecordBatch>> {
    match name {
        "feature_views" => batch(FEATURE_VIEWS, feature_views(environment, lakes).await?).map(Some),
        "features" => batch(FEATURES, all_features(lakes)).map(Some),
        "feature_services" => batch(FEATURE_SERVICES, feature_services(lakes)).map(Some),
        "training_sets" => batch(TRAINING_SETS, training_sets(lakes)).map(Some),
        "lineage" => batch(LINEAGE, lineage(environment, lakes).await).map(Some),
        "indexes" => batch(indexes::INDEXES, indexes::rows(lakes).await?).map(Some),
        _ => {
            let found = RELATIONS.iter().find(|(known, _)| *known == name);
            let Some((name, columns)) = found else { return Ok(None) };
            let rows = match name.starts_with("experiment") {
                true => experiments::rows(environment, lakes, name),
                false => models::rows(environment, lakes, name),
            };
            batch(columns, rows).map(Some)
        }
    }
}

/// Versions of a view with their numbers, and whether each is the newest.
fn numbered(kept: &FeatureView) -> impl Iterator<Item = (i32, bool, &Version)> {
    let newest = kept.versions.len();
    kept.versions
        .iter()
        .enumerate()
        .map(move |(index, version)| (index as i32 + 1, index + 1 == newest, version))
}

async fn feature_views(environment: &Environment, lakes: &Lakes) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for (schema, view, kept) in views(lakes.main.state()) {
        let mut refreshed = Some(refreshed(environment, lakes, view).await?);
        let option = |name: &str| kept.metadata.options.get(name).cloned();
        for (number, current, version) in numbered(&kept) {
            let sql = if current { &view.sql } else { &version.sql };
            let mut row = vec![
                schema.into(),
                view.name.as_str().into(),
                number.into(),
                Cell::Boolean(current),
                version.key.join(", ").into(),
                version.timestamp.as_str().into(),
                version.created.clone().into(),
                version.ttl_us.map(duration_text).into(),
                duration_text(version.delay_us).into(),
                kept.metadata.freshness_us.map(freshness).into(),
                Cell::Boolean(kept.metadata.online),
                option("owner").into(),
                option("tags").into(),
                view.comment.clone().into(),
                version.snapshot_id.into(),
                sql.trim().into(),
            ];
            row.extend(match refreshed.take_if(|_| current) {
                Some(refreshed) => refreshed,
                None => never(),
            });
            rows.push(row);
        }
    }
    Ok(rows)
}

fn never() -> Vec<Cell> {
    vec![Cell::Null, Cell::Null, Cell::Null, Cell::Null]
}

/// Of the rows that are kept: snapshot, time, number, and how old they are if others have come.
async fn refreshed(environment: &Environment, lakes: &Lakes, view: &View) -> Result<Vec<Cell>> {
    let Some((kept, _)) = Kept::of(lakes.main.state(), view) else {
        return Ok(never());
    };
    let at = chrono::DateTime::parse_from_rfc3339(&kept.refreshed_at).ok();
    let at = at.map(|at| at.timestamp_micros());
    let now = environment.engine.execution_props().query_execution_start_time;
    let age = now.zip(at).map(|(now, at)| now.timestamp_micros().saturating_sub(at).max(0));
    let lag = match kept.since(lakes).await? {
        Since::Same => Some(0),
        Since::Appended | Since::Changed => age,
    };
    Ok(vec![
        kept.snapshot_id.into(),
        at.map_or(Cell::Null, Cell::Time),
        i64::try_from(kept.row_count).unwrap_or(i64::MAX).into(),
        lag.map(duration_text).into(),
    ])
}

fn freshness(us: i64) -> String {
    if us == 0 { "realtime".to_owned() } else { duration_text(us) }
}

fn all_features(lakes: &Lakes) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (schema, view, kept) in views(lakes.main.state()) {
        for (number, current, version) in numbered(&kept) {
            for (position, feature) in version.features().enumerate() {
                rows.push(vec![
                    schema.into(),
                    view.name.as_str().into(),
                    number.into(),
                    Cell::Boolean(current),
                    feature.name.as_str().into(),
                    feature.data_type.as_str().into(),
                    (position as i32 + 1).into(),
                    description(view, &feature.name).into(),
                    feature.window.clone().into(),
                ]);
            }
        }
    }
    rows
}

fn description(view: &View, column: &str) -> Option<String> {
    view.column_comments.get(column).cloned()
}

fn feature_services(lakes: &Lakes) -> Vec<Vec<Cell>> {
    let state = lakes.main.state();
    let mut rows = Vec::new();
    for (schema, name, service) in services(state) {
        for of in &service.views {
            let kept = FeatureView::history(state, &of.schema, &of.view);
            let version = kept.as_ref().and_then(|kept| match of.version {
                Some(number) => kept.version(number),
                None => kept.current().map(|(_, version)| version),
            });
            let all = || {
                let features = version.into_iter().flat_map(Version::features);
                features.map(|f| (f.name.clone(), f.name.clone())).collect()
            };
            for (feature, output) in of.features.clone().unwrap_or_else(all) {
                rows.push(vec![
                    schema.into(),
                    name.into(),
                    of.schema.as_str().into(),
                    of.view.as_str().into(),
                    of.version.map(|number| number as i32).into(),
                    of.alias.as_str().into(),
                    of.key.join(", ").into(),
                    feature.into(),
                    output.into(),
                    service.comment.clone().into(),
                ]);
            }
        }
    }
    rows
}

fn training_sets(lakes: &Lakes) -> Vec<Vec<Cell>> {
    let row = |(schema, name, manifest): (&str, &str, features::Manifest)| {
        let created = chrono::DateTime::parse_from_rfc3339(&manifest.created_at).ok();
        let views = manifest.views.iter();
        let views = views.map(|of| format!("{}.{}@{}", of.schema, of.view, of.version));
        vec![
            schema.into(),
            name.into(),
            manifest.snapshot_id.into(),
            created.map_or(Cell::Null, |created| Cell::Time(created.timestamp_micros())),
            i64::try_from(manifest.row_count).unwrap_or(i64::MAX).into(),
            views.collect::<Vec<_>>().join(", ").into(),
            manifest.cutoff.into(),
            serde_json::to_string(&manifest.null_rates).unwrap_or_default().into(),
            manifest.sql.into(),
        ]
    };
    manifests(lakes.main.state()).into_iter().map(row).collect()
}

/// What each feature is made from; a view that cannot be planned now has none.
async fn lineage(environment: &Environment, lakes: &Lakes) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (schema, view, kept) in views(lakes.main.state()) {
        let Ok(query) = parse::parse_query(&view.sql) else { continue };
        let search_path = view.search_path.clone();
        let inner = Environment { search_path, reads_kept: false, ..environment.clone() };
        let Some((_, version)) = kept.current() else { continue };
        let read = Box::pin(features::rows(&inner, lakes, query, version, &view.columns, 0)).await;
        let Ok(planned) = read.and_then(|read| read.plan(version)) else { continue };
        for (column, sources) in version.columns.iter().zip(features::sources(&planned)) {
            for (relation, source) in sources {
                let found = plan::reference_place(&inner, lakes, &relation);
                rows.push(vec![
                    schema.into(),
                    view.name.as_str().into(),
                    column.name.as_str().into(),
                    found.map(|place| place.schema).into(),
                    relation.table().into(),
                    source.into(),
                ]);
            }
        }
    }
    rows
}
