//! Queries to measure by when none are known.

use super::model::draw;
use super::segment::{Head, Segment};

/// The part of its centre that a row loses to become an unusual query.
const SHARE: f32 = 0.75;
/// Kinds of stand-ins.
pub(super) const KINDS: usize = 3;

/// Vectors to calibrate with when no queries are known, in turns of three kinds: rows of the
/// segment as they are; between two of them; and rows less a part of their centre, which point
/// where rows differ as short and unusual queries do. Queries of another kind than the rows tend to
/// lie between these.
pub(super) fn stand_ins(head: &Head, segment: &Segment, count: usize) -> Vec<f32> {
    let padded = head.model.frame.padded();
    let drawn = draw(head.listed(), count * 2, head.model.options.seed);
    let mut vectors = Vec::with_capacity(count * padded);
    for (i, pair) in drawn.chunks_exact(2).enumerate() {
        let (row, list) = segment.turned_row(pair[0]);
        let (other, weight) = match i % KINDS {
            0 => (row.clone(), 0.0),
            1 => (segment.turned_row(pair[1]).0, 0.5),
            _ => (head.model.clusters.centre(list).to_vec(), -SHARE),
        };
        let row_weight = if weight > 0.0 { 1.0 - weight } else { 1.0 };
        vectors.extend(row.iter().zip(&other).map(|(a, b)| a * row_weight + b * weight));
    }
    vectors
}
