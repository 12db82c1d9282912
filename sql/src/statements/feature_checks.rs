//! What is looked at when a feature view is made or changed: windows that are not as of a label,
//! and services that ask for what is gone.

use catalog::{State, View};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

use crate::error::{Error, Result};
use crate::features::{ServiceView, services};
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
pub(super) fn services_of(state: &State, place: &Place) -> Vec<Place> {
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
