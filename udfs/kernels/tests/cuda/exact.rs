//! Rows and distances against `vectors::nearest`, which its own tests hold against full sorts.

use std::sync::atomic::Ordering;

use kernels::cuda::{Device, Options, Search};
use kernels::simd::level::Level;
use kernels::vectors::{Bitmap, Metric, Neighbour, Rows, Scan, Visible, nearest};
use proptest::prelude::*;

use super::emulator::device;

pub const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

/// Numbers from a seed, about normally distributed.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..4).map(|_| uniform()).sum()).collect()
}

fn bits(all: &[Neighbour]) -> Vec<(u32, u64)> {
    all.iter().map(|n| (n.distance.to_bits(), n.key)).collect()
}

/// What the device finds for each query is what the CPU finds.
pub fn check(device: &Device, search: &Search<'_>, all: &[f32], queries: &[f32], k: usize) {
    let dimension = search.chunks[0].dimension();
    let rows = Rows::single(all, dimension).unwrap();
    let Search { level, metric, visible, first_key, .. } = *search;
    let scan = Scan { level, metric, rows, visible, first_key };
    let found = device.nearest(search, queries, k).unwrap();
    assert_eq!(found.len(), queries.len() / dimension);
    for (query, found) in queries.chunks_exact(dimension).zip(&found) {
        let expected = nearest(&scan, query, k).unwrap();
        assert_eq!(bits(found), bits(&expected), "{metric:?} k={k} dimension={dimension}");
    }
}

/// Rows cut into chunks of uneven lengths.
pub fn chunks(all: &[f32], dimension: usize) -> Vec<Rows<'_>> {
    let rows = Rows::single(all, dimension).unwrap();
    let cut = rows.len() / 3;
    vec![rows.slice(0..cut), rows.slice(cut..cut + 1), rows.slice(cut + 1..rows.len())]
}

fn search<'a>(metric: Metric, chunks: &'a [Rows<'a>], visible: Visible<'a>) -> Search<'a> {
    Search { level: Level::best(), metric, segment: 7, chunks, visible, first_key: 1000 }
}

/// Every way through the kernels: lanes of a row, queries at once, products.
#[test]
fn dimensions_and_numbers_of_queries() {
    for (dimension, rows) in
        [(1, 300), (3, 700), (7, 500), (8, 900), (13, 400), (30, 300), (60, 300), (128, 500)]
    {
        let all = numbers(rows * dimension, dimension as u64);
        let (device, controls) = device(1 << 30);
        let chunks = chunks(&all, dimension);
        for metric in METRICS {
            for count in [1, 2, 3, 8, 11] {
                let queries = numbers(count * dimension, 77 + count as u64);
                let search = search(metric, &chunks, Visible::default());
                check(&device, &search, &all, &queries, 10);
            }
        }
        assert!(controls.products.load(Ordering::Relaxed) >= 3);
    }
}

#[test]
fn long_vectors() {
    for (dimension, rows) in [(256, 300), (1000, 120), (2000, 60)] {
        let all = numbers(rows * dimension, dimension as u64);
        let (device, _) = device(1 << 30);
        let chunks = chunks(&all, dimension);
        for count in [1, 7, 9] {
            let queries = numbers(count * dimension, 5);
            for metric in METRICS {
                let search = search(metric, &chunks, Visible::default());
                check(&device, &search, &all, &queries, 12);
            }
        }
    }
}

/// More than one range and more than one tile; k from one row to all and beyond.
#[test]
fn many_rows_and_any_k() {
    let all = numbers(20_000 * 8, 3);
    let (device, controls) = device(1 << 30);
    let chunks = chunks(&all, 8);
    for metric in METRICS {
        for k in [1, 100, 1000] {
            let queries = numbers(8 * if k == 100 { 10 } else { 2 }, k as u64);
            check(&device, &search(metric, &chunks, Visible::default()), &all, &queries, k);
        }
    }
    assert!(controls.products.load(Ordering::Relaxed) >= 3);
    let few = Rows::single(&all[..8 * 50], 8).unwrap();
    let few = [few];
    let search = Search { segment: 8, ..search(Metric::L2, &few, Visible::default()) };
    for k in [50, 51, 1000, usize::MAX] {
        check(&device, &search, &all[..8 * 50], &numbers(16, 9), k);
    }
}

/// Rows that come nearer and nearer overflow what a range has room for; they are found in small
/// ranges then, by the same keys.
#[test]
fn rows_in_the_order_of_their_distance() {
    let all: Vec<f32> = (0..60_000).map(|row| 60_000.0 - row as f32).collect();
    let (device, controls) = device(1 << 30);
    let chunks = [Rows::single(&all, 1).unwrap()];
    check(&device, &search(Metric::L2, &chunks, Visible::default()), &all, &[1.0], 5);
    // Two ranges, then four of them, with a selection each.
    assert_eq!(controls.launches.load(Ordering::Relaxed), 2 * 2 + 4 * 2);
}

#[test]
fn filters_from_all_to_none() {
    let all = numbers(5000 * 3, 4);
    let (device, _) = device(1 << 30);
    let chunks = chunks(&all, 3);
    let deleted: Bitmap = (0..5000).filter(|row| row % 7 == 3).collect();
    for share in [1, 2, 50, 3000, 100_000] {
        let filter: Bitmap = (1..5000).filter(|row| row % share == 0).collect();
        for (filter, deleted) in
            [(Some(&filter), None), (None, Some(&deleted)), (Some(&filter), Some(&deleted))]
        {
            let visible = Visible { filter, deleted };
            for (metric, count) in [(Metric::L2, 2), (Metric::Cosine, 9)] {
                let queries = numbers(count * 3, 6);
                check(&device, &search(metric, &chunks, visible), &all, &queries, 20);
            }
        }
    }
}

/// Vectors that half floats cannot hold, by their length or not at all.
#[test]
fn lengths_of_any_size() {
    let mut all = numbers(2000 * 4, 8);
    for (row, values) in all.chunks_exact_mut(4).enumerate() {
        let size = [1.0, 1e-6, 1e6, 1e-12, 1e12, 1e-20, 0.0, 1e3][row % 8];
        values.iter_mut().for_each(|x| *x *= size);
    }
    all[41] = f32::NAN;
    all[85] = f32::INFINITY;
    let (device, _) = device(1 << 30);
    let chunks = chunks(&all, 4);
    for size in [1.0, 1e-5, 1e5] {
        let queries: Vec<f32> = numbers(9 * 4, 9).iter().map(|x| x * size).collect();
        for metric in METRICS {
            for count in [2, 9] {
                // Nearest of all are those of the right length, or the longest.
                let search = search(metric, &chunks, Visible::default());
                check(&device, &search, &all, &queries[..count * 4], 15);
            }
        }
    }
}

/// Half floats as they are kept lose nothing, and their distances are those of half floats.
#[test]
fn rows_of_half_floats() {
    let all: Vec<u16> =
        numbers(900 * 20, 11).iter().map(|x| kernels::vectors::narrow(*x)).collect();
    let elements = kernels::vectors::Elements::Half(&all);
    let chunks = [Rows::new(elements, 20).unwrap()];
    let (device, _) = device(1 << 30);
    let query = numbers(20, 12);
    for metric in METRICS {
        let search = search(metric, &chunks, Visible::default());
        let found = device.nearest(&search, &query, 9).unwrap();
        let (level, visible, first_key) = (search.level, search.visible, search.first_key);
        let scan = Scan { level, metric, rows: chunks[0], visible, first_key };
        assert_eq!(bits(&found[0]), bits(&nearest(&scan, &query, 9).unwrap()));
    }
}

/// What `bounds.rs` calls the nearness, in double precision, and what its rounding is a part of.
fn nearness(metric: Metric, query: &[f32], row: &[f32]) -> (f64, f64) {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let (product, square) = (dot(query, row), dot(row, row));
    let lengths = (dot(query, query) * square).sqrt();
    match metric {
        Metric::L2 => (product - square / 2.0, lengths + square),
        Metric::Cosine => (product / lengths, 1.0),
        _ => (product, lengths),
    }
}

/// Of every row the device says no less than it is, and little more.
#[test]
fn every_row_is_bounded_closely() {
    let (device, controls) = device(1 << 30);
    for (segment, (dimension, size)) in
        [(3, 1.0), (40, 1e-4), (40, 1e4), (300, 1.0)].into_iter().enumerate()
    {
        let mut all = numbers(400 * dimension, 21);
        let grown = |row: usize| 1.02f32.powi(row as i32 - 200);
        let rows = all.chunks_exact_mut(dimension).enumerate();
        rows.for_each(|(row, values)| values.iter_mut().for_each(|x| *x *= size * grown(row)));
        let chunks = [Rows::single(&all, dimension).unwrap()];
        for (metric, count) in METRICS.into_iter().flat_map(|metric| [(metric, 3), (metric, 10)]) {
            let queries = numbers(count * dimension, 22);
            let search = search(metric, &chunks, Visible::default());
            let search = Search { segment: segment as u64, ..search };
            check(&device, &search, &all, &queries, 400);
            let keys = controls.last_read.lock().unwrap().clone();
            assert_eq!(keys.len(), count * 400 * 8);
            for (place, key) in keys.as_chunks::<8>().0.iter().enumerate() {
                let key = u64::from_le_bytes(*key);
                let (ordered, row) = ((key >> 32) as u32, !(key as u32) as usize);
                let bits = if ordered >> 31 == 1 { ordered ^ 1 << 31 } else { !ordered };
                let query = place / 400 * dimension..(place / 400 + 1) * dimension;
                let row = &all[row * dimension..(row + 1) * dimension];
                let (truth, unit) = nearness(metric, &queries[query], row);
                let over = (f64::from(f32::from_bits(bits)) - truth) / unit;
                assert!((0.0..0.002).contains(&over), "{metric:?} {dimension} {size}: {over}");
            }
        }
    }
}

fn property(device: &Device, all: &[f32], queries: &[f32], k: usize, share: u32) {
    let deleted: Bitmap = (0..20).collect();
    let filter: Bitmap = (0..700).filter(|row| share > 0 && row % share == 0).collect();
    let filter = (share > 0).then_some(&filter);
    let visible = Visible { filter, deleted: Some(&deleted) };
    let chunks = chunks(all, 3);
    for metric in METRICS {
        check(device, &search(metric, &chunks, visible), all, queries, k);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Small whole numbers, so that ties and zero vectors abound: of equals the lowest rows.
    #[test]
    fn ties_go_to_the_lowest_row(
        all in proptest::collection::vec(-2i8..3, 3..700 * 3),
        queries in proptest::collection::vec(1i8..3, 3..30),
        k in prop_oneof![1usize..5, 1usize..800],
        share in prop_oneof![Just(0u32), 1u32..100],
    ) {
        let whole = |all: &[i8]| -> Vec<f32> {
            all[..all.len() / 3 * 3].iter().map(|x| f32::from(*x)).collect()
        };
        property(&device(1 << 30).0, &whole(&all), &whole(&queries), k, share);
    }
}

/// The same on a GPU, where there is one.
#[test]
fn on_a_gpu() {
    let options = Options { cubins: None, most_bytes: 1 << 30, threads: 2 };
    let device = match Device::open(options) {
        Ok(device) => device,
        Err(error) => return eprintln!("skipped: {error}"),
    };
    for (segment, dimension) in [1, 3, 8, 100, 128, 256, 1000].into_iter().enumerate() {
        let all = numbers(20_000 * dimension, dimension as u64);
        let chunks = chunks(&all, dimension);
        let filter: Bitmap = (0..20_000).filter(|row| row % 3 == 0).collect();
        for metric in METRICS {
            for (count, k) in [(1, 100), (3, 1), (8, 1000), (16, 100), (300, 10)] {
                for filter in [None, Some(&filter)] {
                    let visible = Visible { filter, deleted: None };
                    let search = search(metric, &chunks, visible);
                    let search = Search { segment: segment as u64, ..search };
                    let queries = numbers(count * dimension, k as u64);
                    check(&device, &search, &all, &queries, k);
                }
            }
        }
    }
}
