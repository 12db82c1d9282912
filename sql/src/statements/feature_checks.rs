//! What is looked at when a feature view is made or changed: windows that are not as of a label,
//! and services that ask for what is gone.

use std::sync::Arc;

use catalog::{State, View};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

use super::Context;
use crate::error::{Error, Result};
use crate::features::{FeatureService, ServiceView, services};
use crate::plan::Place;
use crate::{Notice, asof};

/// Whether a plan has windows, which are told as of their own rows.
pub(super) fn has_windows(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Window(_)) || asof::tells_windows(node);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// What to say of them.
pub(super) fn not_at_label(name: &str) -> Notice {
    let message =
        format!("some windows of \"{name}\" are told as of their own row, not of a label's time");
    let hint = "Write them in the outermost SELECT, over the key and the time, with RANGE INTERVAL \
                '…' PRECEDING, to have them as of each label.";
    Notice { hint: Some(hint.to_owned()), ..Notice::notice(message) }
}

/// The services that ask for a feature view.
fn services_of(state: &State, place: &Place) -> Vec<Place> {
    let asks = |of: &ServiceView| of.schema == place.schema && of.view == place.name;
    let services = services(state).into_iter().filter(|(.., kept)| kept.views.iter().any(asks));
    services
        .map(|(schema, service, _)| Place {
            temp: false,
            schema: schema.to_owned(),
            name: service.to_owned(),
        })
        .collect()
}

/// Services that ask for the view: dropped with it, or the reason to refuse.
pub(super) fn drop_services(context: &mut Context<'_>, place: &Place, cascade: bool) -> Result<()> {
    let state = Arc::clone(context.lakes.main.state());
    let services = services_of(&state, place);
    if !cascade && !services.is_empty() {
        let view = format!("feature view {}", place.name);
        let message = format!("cannot drop {view} because other objects depend on it");
        let lines: Vec<String> = services
            .iter()
            .map(|service| format!("feature service {} depends on {view}", service.name))
            .collect();
        return Err(Error::new("2BP01", message)
            .with_detail(lines.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for service in services {
        let notice = format!("drop cascades to feature service {}", service.name);
        context.notices.push(Notice::notice(notice));
        FeatureService::forget(&mut context.lakes.main, &service)?;
    }
    Ok(())
}

/// What to say of services that ask for a view by its name, which is another from now on.
pub(super) fn still_asked_for(state: &State, place: &Place) -> Vec<Notice> {
    let name = &place.name;
    let told = |service: Place| {
        let service = service.name;
        let message =
            format!("feature service \"{service}\" still asks for \"{name}\" by its name");
        let hint = format!(
            "It finds what is called \"{name}\" next. CREATE OR REPLACE FEATURE SERVICE asks for \
             another name."
        );
        Notice { hint: Some(hint), ..Notice::notice(message) }
    };
    services_of(state, place).into_iter().map(told).collect()
}

/// A feature that a service asks for by its name, of the newest version, must stay.
pub(super) fn check_services(state: &State, place: &Place, view: &View) -> Result<()> {
    for (schema, service, kept) in services(state) {
        let of_this = |of: &&ServiceView| {
            of.schema == place.schema && of.view == place.name && of.version.is_none()
        };
        let asked = kept.views.iter().filter(of_this).flat_map(|of| of.features.iter().flatten());
        let is_there = |name: &String| view.columns.iter().any(|column| column.name() == name);
        if let Some((gone, _)) = asked.into_iter().find(|(name, _)| !is_there(name)) {
            let message = format!(
                "cannot drop feature \"{gone}\" of {} because other objects depend on it",
                place.name
            );
            return Err(Error::new("2BP01", message)
                .with_detail(format!("feature service {schema}.{service} asks for it"))
                .with_hint(
                    "Make the service anew without it, or of the version that has it (view@1).",
                ));
        }
    }
    Ok(())
}
