//! Layers: experiments of one layer share its places out, so that no unit is in two of them.
//!
//! A layer is a definition that lists the ranges of its experiments by uuid. Whoever takes or gives
//! back a range writes it, so that of two commits that would take the same one the second fails.

use std::collections::BTreeMap;

use catalog::{State, Transaction};
use serde::{Deserialize, Serialize};

use super::{Experiment, Layer, json};
use crate::error::{Error, Result};

/// Kind of the definitions that layers are.
const LAYER: &str = "experiment_layer";
/// Places of a layer.
pub(crate) const MILLION: u32 = 1_000_000;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Taken {
    ranges: BTreeMap<String, Vec<(u32, u32)>>,
}

impl Taken {
    fn of(state: &State, layer: &str) -> Option<Self> {
        let definition = state.definitions.get(&(LAYER.to_owned(), layer.to_owned()))?;
        serde_json::from_value(definition.body.clone()).ok()
    }

    /// What nobody has, from the first place on.
    fn free(&self) -> Vec<(u32, u32)> {
        let mut taken: Vec<(u32, u32)> = self.ranges.values().flatten().copied().collect();
        taken.sort_unstable();
        let (mut free, mut from) = (Vec::new(), 0);
        for (start, end) in taken.into_iter().chain([(MILLION, MILLION)]) {
            if from < start {
                free.push((from, start));
            }
            from = from.max(end);
        }
        free
    }
}

/// Gives an experiment a share of a layer, or all that is free.
///
/// # Errors
/// 53400 if there is less.
pub(crate) fn take(
    transaction: &mut Transaction,
    uuid: &str,
    name: &str,
    share: Option<f64>,
) -> Result<Layer> {
    let mut taken = Taken::of(transaction.state(), name).unwrap_or_default();
    let free = taken.free();
    let all: u32 = free.iter().map(|(from, before)| before - from).sum();
    let wanted = share.map_or(all, |share| (share * f64::from(MILLION)).round() as u32);
    if wanted == 0 || wanted > all {
        let percent = f64::from(all) / f64::from(MILLION / 100);
        let message = format!("layer \"{name}\" has {percent} percent of its units left");
        let hint = "An experiment that is stopped, shipped or dropped gives its units back.";
        return Err(Error::new("53400", message).with_hint(hint));
    }
    let (mut ranges, mut left) = (Vec::new(), wanted);
    for (from, before) in free {
        let end = before.min(from + left);
        left -= end - from;
        if from < end {
            ranges.push((from, end));
        }
    }
    taken.ranges.insert(uuid.to_owned(), ranges.clone());
    transaction.define(LAYER, name, json(&taken)?, true)?;
    Ok(Layer { name: name.to_owned(), ranges })
}

/// Gives the experiment's part of its layer back.
pub(crate) fn release(transaction: &mut Transaction, experiment: &Experiment) -> Result<()> {
    let Some(layer) = &experiment.layer else { return Ok(()) };
    let Some(mut taken) = Taken::of(transaction.state(), &layer.name) else { return Ok(()) };
    if taken.ranges.remove(&experiment.uuid).is_none() {
        return Ok(());
    }
    match taken.ranges.is_empty() {
        true => Ok(transaction.undefine(LAYER, &layer.name)?),
        false => Ok(transaction.define(LAYER, &layer.name, json(&taken)?, true)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_free_again() {
        let mut taken = Taken::default();
        assert_eq!(taken.free(), [(0, MILLION)]);
        taken.ranges.insert("b".into(), vec![(300_000, 500_000), (900_000, MILLION)]);
        assert_eq!(taken.free(), [(0, 300_000), (500_000, 900_000)]);
        taken.ranges.insert("a".into(), vec![(0, 300_000), (500_000, 900_000)]);
        assert_eq!(taken.free(), []);
        taken.ranges.remove("b");
        assert_eq!(taken.free(), [(300_000, 500_000), (900_000, MILLION)]);
    }
}
