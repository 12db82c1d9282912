//! Builds and merges: the same bytes however the work is cut, and nothing lost.

use kernels::ann::{Builder, Effort, Model, Options, Query, Scratch, Segment, Work, merge, search};
use kernels::simd::level::Level;
use kernels::vectors::{Bitmap, Metric, Rows, Visible};

use super::data::{build, data};

#[test]
fn threads_and_chunks_do_not_matter() {
    let data = data(6000, 1, 24, 1);
    let options = Options { seed: 3, ..Options::new(Metric::Cosine, 24) };
    let bytes = |threads: usize, chunk: usize| {
        let work = Work { threads, ..Work::alone() };
        let model = Model::train(options, data.rows(), 6000, &work).unwrap();
        let mut builder = Builder::new(model.into());
        for start in (0..6000).step_by(chunk).rev() {
            let rows = data.rows().slice(start..start + chunk);
            let numbers: Vec<u32> = (start as u32..(start + rows.len()) as u32).collect();
            builder.push(rows, &numbers, &work).unwrap();
        }
        builder.finish().to_bytes()
    };
    let alone = bytes(1, 6000);
    assert!(alone == bytes(3, 6000));
    assert!(alone == bytes(2, 777));
}

/// A merge has the very bytes of a build of the rows that are left.
#[test]
fn a_merge_is_a_build_of_what_is_left() {
    let data = data(4000, 1, 10, 2);
    let model = data.model(Metric::L2);
    let rows = data.rows();
    let a = build(model.clone(), rows.slice(0..2500), 0);
    let b = build(model.clone(), rows.slice(2500..4000), 0);
    let deleted: Bitmap = (0..1500).filter(|row| row % 3 == 0).collect();
    let merged = merge(&[(&a, None), (&b, Some(&deleted))], |part, number| {
        number + if part == 1 { 2500 } else { 0 }
    })
    .unwrap();
    let mut builder = Builder::new(model);
    let kept: Vec<u32> =
        (0..4000).filter(|row| *row < 2500 || !deleted.contains(row - 2500)).collect();
    let left: Vec<f32> = kept
        .iter()
        .flat_map(|row| &data.rows[*row as usize * 10..(*row as usize + 1) * 10])
        .copied()
        .collect();
    builder.push(Rows::single(&left, 10).unwrap(), &kept, &Work::alone()).unwrap();
    let built = builder.finish();
    assert_eq!(merged.head().rows(), kept.len());
    // The spread of what was deleted is taken to be that of its list: all else is equal.
    let start = |segment: &Segment| segment.head().list_range(0).unwrap().start as usize;
    let lists = |segment: &Segment| segment.to_bytes()[start(segment)..].to_vec();
    let tail = |segment: &Segment| {
        let bytes = lists(segment);
        let total: u64 = (0..segment.head().model().lists() as u32)
            .map(|list| segment.head().list_range(list).unwrap())
            .map(|range| range.end - range.start)
            .sum();
        bytes[bytes.len() - total as usize..].to_vec()
    };
    assert!(tail(&merged) == tail(&built));
    assert!((merged.head().drift() - built.head().drift()).abs() < 0.1);
}

/// Rows of another kind lie far from every centre: drift says so.
#[test]
fn drift_is_seen() {
    let data = data(4000, 1, 10, 3);
    let model = data.model(Metric::L2);
    let same = build(model.clone(), data.rows(), 0);
    assert!((same.head().drift() - 1.0).abs() < 0.1, "{}", same.head().drift());
    let moved: Vec<f32> = data.rows.iter().map(|x| x * 2.0 + 1.0).collect();
    let other = build(model, Rows::single(&moved, 10).unwrap(), 0);
    assert!(other.head().drift() > 1.5, "{}", other.head().drift());
}

/// Levels differ in the last bits only: the same rows are found.
#[test]
fn levels_find_the_same_rows() {
    let data = data(6000, 40, 33, 4);
    for metric in [Metric::L2, Metric::InnerProduct] {
        let segment = data.segment(metric);
        for vector in data.queries() {
            let (effort, visible) = (Effort::Recall(0.95), Visible::default());
            let query = Query { vector, k: 10, effort, visible, vectors: Some(data.rows()) };
            let ask = |level| {
                let mut scratch = Scratch::default();
                let found = search(segment.head(), &segment, level, &query, &mut scratch);
                found.unwrap().neighbours.iter().map(|n| n.key).collect::<Vec<_>>()
            };
            let expected = ask(Level::all()[0]);
            for level in Level::all() {
                let found = ask(level);
                let same = found.iter().filter(|key| expected.contains(key)).count();
                assert!(same >= 9, "{}: {found:?} {expected:?}", level.name());
            }
        }
    }
}
