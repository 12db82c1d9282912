//! CREATE, ALTER and DROP EXPERIMENT.
//!
//! Whoever owns an experiment or has DEPLOY on it moves it on; every step is an event of its own.

use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use uuid::Uuid;

use super::{Context, default_privileges, kill_switch};
use crate::access::{Object, Privileges};
use crate::error::{Error, Result};
use crate::experiments::{self, End, Event, Experiment, release, take, undefined};
use crate::functions::identifier;
use crate::names::folded;
use crate::parse::{Arm, CreateExperiment, ExperimentChange, MetricRole, OfExperiment, StartTime};
use crate::plan::Place;
use crate::{Notice, models, plan};

const ALTERED: &str = "ALTER EXPERIMENT";

/// Runs one of the statements.
pub(super) async fn run(context: &mut Context<'_>, of: &OfExperiment) -> Result<String> {
    match of {
        OfExperiment::Create(experiment) => create(context, experiment),
        OfExperiment::Alter { name, change } => {
            let (place, experiment) = expect(context, name)?;
            may_deploy(context, &place, &experiment)?;
            alter(context, place, experiment, change).await
        }
        OfExperiment::Drop { names, if_exists } => drop(context, names, *if_exists),
        OfExperiment::Comment { name, comment } => {
            let (place, mut experiment) = expect(context, name)?;
            must_own(context, &place, &experiment)?;
            experiment.comment = comment.clone().filter(|text| !text.is_empty());
            experiment.keep(&mut context.lakes.main, &place)?;
            Ok("COMMENT".to_owned())
        }
    }
}

fn create(context: &mut Context<'_>, create: &CreateExperiment) -> Result<String> {
    let tag = "CREATE EXPERIMENT".to_owned();
    let place = context.environment.target(context.lakes, &create.name, false)?;
    if place.temp {
        return Err(Error::new("0A000", "an experiment cannot be temporary"));
    }
    if Experiment::of(context.lakes.main.state(), &place).is_some() {
        let message = format!("experiment \"{}\" already exists", place.name);
        if !create.if_not_exists {
            return Err(Error::new("42710", message));
        }
        context.notices.push(Notice::notice(format!("{message}, skipping")));
        return Ok(tag);
    }
    check_arms(&create.arms)?;
    check_metrics(create)?;
    share("HOLDOUT", create.holdout)?;
    let ramp = share("RAMP", create.ramp.unwrap_or(1.0))?;
    let uuid = Uuid::now_v7().to_string();
    let layer = match &create.layer {
        Some((name, part)) => {
            let part = part.map(|part| share("LAYER", part)).transpose()?;
            if part == Some(0.0) {
                return Err(Error::new("22023", "LAYER must be above 0 PERCENT"));
            }
            Some(take(&mut context.lakes.main, &uuid, &folded(name), part)?)
        }
        None => None,
    };
    let start = create.start.as_ref().map(|start| start_time(context, start)).transpose()?;
    let mut experiment = Experiment {
        uuid,
        unit: identifier(&folded(&create.unit)),
        salt: create.salt.clone().unwrap_or_else(|| place.name.clone()),
        arms: create.arms.clone(),
        layer,
        holdout: create.holdout,
        metrics: create.metrics.clone(),
        start_at: start.map(|start| start.to_rfc3339()),
        ramp,
        end: None,
        events: Vec::new(),
        comment: None,
    };
    record(context, &mut experiment, "create", None, None);
    if start.is_some() {
        record(context, &mut experiment, "start", None, None);
    }
    experiment.keep(&mut context.lakes.main, &place)?;
    default_privileges::own(context, &experiment.object(&place), &place.schema)?;
    Ok(tag)
}

fn check_arms(arms: &[Arm]) -> Result<()> {
    let twice = |(index, arm): &(usize, &Arm)| arms[..*index].iter().any(|a| a.name == arm.name);
    if let Some((_, arm)) = arms.iter().enumerate().find(twice) {
        return Err(Error::new("42710", format!("arm \"{}\" specified twice", arm.name)));
    }
    let total: f64 = arms.iter().map(|arm| arm.weight).sum();
    if arms.len() < 2 || total <= 0.0 || !total.is_finite() {
        return Err(Error::new("22023", "an experiment needs at least two arms and some weight")
            .with_hint("Write ARMS (control 50, treatment 50)."));
    }
    Ok(())
}

fn check_metrics(create: &CreateExperiment) -> Result<()> {
    let metrics = &create.metrics;
    for (index, metric) in metrics.iter().enumerate() {
        if metrics[..index].iter().any(|other| other.name == metric.name) {
            let message = format!("metric \"{}\" specified twice", metric.name);
            return Err(Error::new("42710", message).with_hint("Name one of them with AS."));
        }
        if metric.role == MetricRole::Guardrail && metric.relative && metric.max_regression >= 1.0 {
            let message =
                format!("MAX REGRESSION of \"{}\" must be below 100 percent", metric.name);
            return Err(Error::new("22023", message));
        }
    }
    Ok(())
}

/// A share of units.
fn share(clause: &str, share: f64) -> Result<f64> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(Error::new("22023", format!("{clause} must be from 0 to 100 PERCENT"))),
    }
}

fn start_time(context: &Context<'_>, start: &StartTime) -> Result<DateTime<Utc>> {
    let StartTime::At(time) = start else { return Ok(experiments::now(context.environment)) };
    let time = models::cast(time.clone(), "timestamptz")?;
    let time = plan::constant(&context.environment.engine, time)?;
    match time.cast_to(&crate::types::timestamptz()) {
        Ok(ScalarValue::TimestampMicrosecond(Some(us), _)) => DateTime::from_timestamp_micros(us),
        Ok(_) | Err(_) => None,
    }
    .ok_or_else(|| Error::new("22007", "START must be a time"))
}

async fn alter(
    context: &mut Context<'_>,
    place: Place,
    mut experiment: Experiment,
    change: &ExperimentChange,
) -> Result<String> {
    match change {
        ExperimentChange::StopIfBreached { rows, alpha } => {
            return kill_switch::run(context, (place, experiment), rows, *alpha).await;
        }
        ExperimentChange::Stop { reason } => stop(context, &place, &mut experiment, reason)?,
        ExperimentChange::Ramp(to) => ramp(context, &place, &mut experiment, *to)?,
        ExperimentChange::Start(at) => start(context, &place, &mut experiment, at)?,
        ExperimentChange::Ship(arm) => ship(context, &place, &mut experiment, arm)?,
        ExperimentChange::Rename(to) => return rename(context, &place, experiment, &folded(to)),
    }
    experiment.keep(&mut context.lakes.main, &place)?;
    Ok(ALTERED.to_owned())
}

/// Another name; units stay in their arms, for which the salt counts.
fn rename(
    context: &mut Context<'_>,
    place: &Place,
    mut experiment: Experiment,
    to: &str,
) -> Result<String> {
    must_own(context, place, &experiment)?;
    let new = Place { name: to.to_owned(), ..place.clone() };
    let state = context.lakes.main.state();
    context.environment.require_create(state, &place.schema)?;
    if Experiment::of(state, &new).is_some() {
        return Err(Error::new("42710", format!("experiment \"{to}\" already exists")));
    }
    let reason = Some(format!("was {}", place.name));
    record(context, &mut experiment, "rename", None, reason);
    experiment.rename(&mut context.lakes.main, place, &new)?;
    Ok(ALTERED.to_owned())
}

/// A ramp starts what has no start yet.
fn ramp(
    context: &mut Context<'_>,
    place: &Place,
    experiment: &mut Experiment,
    to: f64,
) -> Result<()> {
    must_go_on(place, experiment)?;
    let before = std::mem::replace(&mut experiment.ramp, share("RAMP", to)?);
    if experiment.start_at.is_none() {
        experiment.start_at = Some(experiments::now(context.environment).to_rfc3339());
        record(context, experiment, "start", None, None);
    } else if to < before {
        let message = format!("experiment \"{}\" loses units that were exposed", place.name);
        let hint = Some("A ramp that only grows moves nobody out.".to_owned());
        context.notices.push(Notice { hint, ..Notice::notice(message) });
    }
    record(context, experiment, "ramp", None, None);
    Ok(())
}

fn start(
    context: &mut Context<'_>,
    place: &Place,
    experiment: &mut Experiment,
    at: &StartTime,
) -> Result<()> {
    must_go_on(place, experiment)?;
    if experiment.status(experiments::now(context.environment)) == "running" {
        let message = format!("experiment \"{}\" has been started already", place.name);
        return Err(Error::new("55000", message));
    }
    experiment.start_at = Some(start_time(context, at)?.to_rfc3339());
    record(context, experiment, "start", None, None);
    Ok(())
}

/// Nobody is assigned from now on.
pub(super) fn stop(
    context: &mut Context<'_>,
    place: &Place,
    experiment: &mut Experiment,
    reason: &Option<String>,
) -> Result<()> {
    must_go_on(place, experiment)?;
    experiment.end = Some(End::Stopped);
    release(&mut context.lakes.main, experiment)?;
    record(context, experiment, "stop", None, reason.clone());
    Ok(())
}

/// Everybody gets an arm from now on; also after a stop, which gives time to decide.
fn ship(
    context: &mut Context<'_>,
    place: &Place,
    experiment: &mut Experiment,
    arm: &Ident,
) -> Result<()> {
    let arm = folded(arm);
    if !experiment.arms.iter().any(|known| known.name == arm) {
        let names: Vec<&str> = experiment.arms.iter().map(|arm| arm.name.as_str()).collect();
        let message = format!("arm \"{arm}\" of experiment \"{}\" does not exist", place.name);
        let hint = format!("Its arms are {}.", names.join(", "));
        return Err(Error::new("42704", message).with_hint(hint));
    }
    let status = experiment.status(experiments::now(context.environment));
    if matches!(status, "draft" | "scheduled") {
        let message = format!("experiment \"{}\" has not been started", place.name);
        return Err(Error::new("55000", message));
    }
    experiment.end = Some(End::Shipped(arm.clone()));
    release(&mut context.lakes.main, experiment)?;
    record(context, experiment, "ship", Some(arm), None);
    Ok(())
}

fn must_go_on(place: &Place, experiment: &Experiment) -> Result<()> {
    let how = match experiment.end {
        None => return Ok(()),
        Some(End::Stopped) => "stopped",
        Some(End::Shipped(_)) => "shipped",
    };
    let message = format!("experiment \"{}\" has been {how}", place.name);
    Err(Error::new("55000", message)
        .with_hint("What comes after a stop is SHIP, or another experiment."))
}

fn record(
    context: &Context<'_>,
    experiment: &mut Experiment,
    event: &str,
    arm: Option<String>,
    reason: Option<String>,
) {
    let event = happened(context, experiment, event, arm, reason);
    experiment.events.push(event);
}

fn happened(
    context: &Context<'_>,
    experiment: &Experiment,
    event: &str,
    arm: Option<String>,
    reason: Option<String>,
) -> Event {
    Event {
        at: context.environment.clock.to_rfc3339(),
        by: context.environment.user.clone(),
        event: event.to_owned(),
        ramp: experiment.ramp,
        arm,
        reason,
    }
}

/// The experiment of a name.
fn expect(context: &Context<'_>, name: &ObjectName) -> Result<(Place, Experiment)> {
    let parts = plan::parts(name)?;
    let state = context.lakes.main.state();
    experiments::find(context.environment, state, &parts)?.ok_or_else(|| undefined(state, &parts))
}

fn must_own(context: &Context<'_>, place: &Place, experiment: &Experiment) -> Result<()> {
    let object = experiment.object(place);
    context.environment.authority.must_own(context.lakes.main.state(), &object)
}

fn may_deploy(context: &Context<'_>, place: &Place, experiment: &Experiment) -> Result<()> {
    let (object, state) = (experiment.object(place), context.lakes.main.state());
    context.environment.authority.require(state, &object, Privileges::DEPLOY)
}

fn drop(context: &mut Context<'_>, names: &[ObjectName], if_exists: bool) -> Result<String> {
    for name in names {
        let (place, experiment) = match expect(context, name) {
            Ok(found) => found,
            Err(Error::Statement { sqlstate: "42704", message, .. }) if if_exists => {
                context.notices.push(Notice::notice(format!("{message}, skipping")));
                continue;
            }
            Err(error) => return Err(error),
        };
        must_own(context, &place, &experiment)?;
        forget(context, &place, experiment)?;
    }
    Ok("DROP EXPERIMENT".to_owned())
}

/// Drops an experiment whoever owns it.
pub(super) fn forget(
    context: &mut Context<'_>,
    place: &Place,
    experiment: Experiment,
) -> Result<()> {
    let event = happened(context, &experiment, "drop", None, None);
    experiment.forget(&mut context.lakes.main, place, event)
}

/// An experiment of a name that GRANT is about.
pub(super) fn object(context: &Context<'_>, name: &ObjectName) -> Result<(Object, Place)> {
    let (place, experiment) = expect(context, name)?;
    Ok((experiment.object(&place), place))
}
