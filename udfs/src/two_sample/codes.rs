//! The arm of each row as a small number.

use std::collections::HashMap;
use std::hash::Hash;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use smol_str::SmolStr;

/// A variant column with more values than this is something else, an identifier perhaps.
pub(super) const ARMS: usize = 1_000;
/// The code of a row that takes no part.
const NO_ARM: u16 = u16::MAX;
/// So many arms are compared one after the other, which is faster than hashing.
const FEW: usize = 8;

/// Codes in order of appearance: the first few in a list, the rest in a map.
struct Known<A> {
    few: Vec<(A, u16)>,
    many: HashMap<A, u16>,
}

impl<A: Copy + Eq + Hash> Known<A> {
    fn of(arms: impl Iterator<Item = (A, u16)>) -> Self {
        let mut known = Self { few: Vec::new(), many: HashMap::new() };
        arms.for_each(|(arm, code)| known.insert(arm, code));
        known
    }

    fn insert(&mut self, arm: A, code: u16) {
        match self.few.len() < FEW {
            true => self.few.push((arm, code)),
            false => drop(self.many.insert(arm, code)),
        }
    }

    #[inline]
    fn get(&self, arm: A) -> Option<u16> {
        let few = self.few.iter().find(|known| known.0 == arm).map(|known| known.1);
        few.or_else(|| self.many.get(&arm).copied())
    }
}

/// The code of each row's arm; labels not yet known are added unless `only` the known ones count.
pub(super) fn codes(column: &ArrayRef, labels: &mut Vec<SmolStr>, only: bool) -> Vec<u16> {
    let given = labels.clone();
    let known = given.iter().map(SmolStr::as_str).zip(0u16..);
    match column.data_type() {
        DataType::Int64 => {
            let known = known.filter_map(|(label, code)| Some((label.parse().ok()?, code)));
            coded(column.as_primitive::<Int64Type>().iter(), Known::of(known), labels, only)
        }
        DataType::Boolean => {
            let known = known.filter_map(|(label, code)| Some((label.parse().ok()?, code)));
            coded(column.as_boolean().iter(), Known::of(known), labels, only)
        }
        _ => coded(column.as_string::<i32>().iter(), Known::of(known), labels, only),
    }
}

fn coded<A: Copy + Eq + Hash + ToString>(
    arms: impl Iterator<Item = Option<A>>,
    mut known: Known<A>,
    labels: &mut Vec<SmolStr>,
    only: bool,
) -> Vec<u16> {
    let code = |arm| {
        let Some(arm) = arm else { return NO_ARM };
        if let Some(code) = known.get(arm) {
            return code;
        }
        if only || labels.len() > ARMS {
            return NO_ARM;
        }
        let code = labels.len() as u16;
        labels.push(SmolStr::from(arm.to_string()));
        known.insert(arm, code);
        code
    };
    arms.map(code).collect()
}
