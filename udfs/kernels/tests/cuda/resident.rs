//! Columns are uploaded once, and given up when others need their place.

use std::sync::atomic::Ordering;

use kernels::cuda::Search;
use kernels::simd::level::Level;
use kernels::vectors::{Metric, Rows, Visible};

use super::emulator::device;
use super::exact::{check, numbers};

/// Bytes of a column of 1000 rows of 8 dimensions: half floats and sizes.
const COLUMN: usize = 1000 * (16 + 8);

fn search<'a>(segment: u64, chunks: &'a [Rows<'a>]) -> Search<'a> {
    let (level, visible) = (Level::best(), Visible::default());
    Search { level, metric: Metric::L2, segment, chunks, visible, first_key: 0 }
}

#[test]
fn a_column_is_uploaded_once() {
    let all = numbers(1000 * 8, 1);
    let chunks = [Rows::single(&all, 8).unwrap()];
    let (device, controls) = device(10 * COLUMN);
    let queries = numbers(8, 2);
    device.hold(&search(1, &chunks)).unwrap();
    assert_eq!(controls.written.swap(0, Ordering::Relaxed), COLUMN);
    for _ in 0..3 {
        check(&device, &search(1, &chunks), &all, &queries, 5);
    }
    assert!(controls.written.load(Ordering::Relaxed) < COLUMN);
    assert_eq!(device.bytes(), COLUMN);
    device.release(1);
    device.release(1);
    assert_eq!(device.bytes(), 0);
    check(&device, &search(1, &chunks), &all, &queries, 5);
    assert_eq!(device.bytes(), COLUMN);
}

#[test]
fn the_longest_unused_is_given_up() {
    let columns: Vec<Vec<f32>> = (0..3).map(|seed| numbers(1000 * 8, seed + 1)).collect();
    let chunks: Vec<[Rows<'_>; 1]> =
        columns.iter().map(|all| [Rows::single(all, 8).unwrap()]).collect();
    let (device, controls) = device(2 * COLUMN + 100);
    let queries = numbers(8, 9);
    let ask = |segment: usize| {
        let before = controls.written.load(Ordering::Relaxed);
        check(&device, &search(segment as u64, &chunks[segment]), &columns[segment], &queries, 5);
        controls.written.load(Ordering::Relaxed) - before > COLUMN
    };
    let uploads = [0, 1, 0, 2, 0, 1].map(ask);
    assert_eq!(uploads, [true, true, false, true, false, true]);
    assert_eq!(device.bytes(), 2 * COLUMN);
}

/// A device that is full gives up other columns before it says so.
#[test]
fn a_full_device_makes_room() {
    let all = numbers(1000 * 8, 1);
    let chunks = [Rows::single(&all, 8).unwrap()];
    let (device, controls) = device(1 << 30);
    let queries = numbers(8, 9);
    check(&device, &search(0, &chunks), &all, &queries, 5);
    let held = controls.allocated.load(Ordering::Relaxed);
    controls.memory.store(held + COLUMN, Ordering::Relaxed);
    for segment in 1..5 {
        check(&device, &search(segment, &chunks), &all, &queries, 5);
        assert!(device.bytes() <= 2 * COLUMN);
    }
}

/// What has the name of a segment but is another column is uploaded again.
#[test]
fn another_column_of_the_same_name() {
    let all = numbers(1000 * 8, 1);
    let (device, _) = device(1 << 30);
    for rows in [1000, 900, 1000] {
        let part = &all[..rows * 8];
        let chunks = [Rows::single(part, 8).unwrap()];
        check(&device, &search(1, &chunks), part, &numbers(8, 9), 5);
    }
}

#[test]
fn columns_over_the_limit_stay_away() {
    let all = numbers(1000 * 8, 1);
    let chunks = [Rows::single(&all, 8).unwrap()];
    let (device, controls) = device(COLUMN - 1);
    let error = device.nearest(&search(1, &chunks), &numbers(8, 9), 5).unwrap_err();
    assert_eq!(error.to_string(), "1 MB of vectors are over the device's limit of 0 MB");
    assert_eq!(controls.allocated.load(Ordering::Relaxed), 0);
}
