//! One input and seed give one map.

use kernels::maps::{Nearness, Options, Work, map};

use super::data::clusters;

fn mapped(rows: &[f32], dimension: usize, options: &Options, threads: usize) -> Vec<[u32; 2]> {
    let work = Work { threads, ..Work::alone() };
    let places = map(rows, dimension, options, &work).unwrap();
    places.iter().map(|place| place.map(f32::to_bits)).collect()
}

#[test]
fn a_map_is_the_same_on_any_number_of_threads() {
    for nearness in [Nearness::L2, Nearness::Angle] {
        let options = Options { nearness, epochs: Some(50), seed: 9, ..Options::default() };
        let rows = clusters(5000, 12, 7, 1);
        let one = mapped(&rows, 12, &options, 1);
        assert!(one == mapped(&rows, 12, &options, 2) && one == mapped(&rows, 12, &options, 8));
        assert!(one != mapped(&rows, 12, &Options { seed: 10, ..options }, 2));
    }
}

/// So many rows that an index finds the neighbours.
#[test]
fn so_is_one_of_many_rows() {
    let options = Options { neighbours: 5, epochs: Some(3), ..Options::default() };
    let rows = clusters(21_000, 4, 30, 1);
    let one = mapped(&rows, 4, &options, 1);
    assert!(one == mapped(&rows, 4, &options, 2) && one == mapped(&rows, 4, &options, 8));
}

/// By angle the length of a row says nothing; powers of two are exact.
#[test]
fn lengths_do_not_count_by_angle() {
    let options = Options { nearness: Nearness::Angle, epochs: Some(50), ..Options::default() };
    let rows = clusters(500, 12, 7, 1);
    let mut scaled = rows.clone();
    for (row, values) in scaled.chunks_mut(12).enumerate() {
        values.iter_mut().for_each(|x| *x *= 2f32.powi(row as i32 % 9 - 4));
    }
    assert!(mapped(&rows, 12, &options, 1) == mapped(&scaled, 12, &options, 1));
}
