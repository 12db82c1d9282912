//! A user's mistake is an error with a name, and a map can be ended.

use kernels::maps::{Error, Options, Phase, Work, map};
use kernels::vectors;

use super::data::clusters;

#[test]
fn options_are_checked() {
    let options = Options::default();
    let name = |options: Options| match map(&[1.0, 2.0], 1, &options, &Work::alone()) {
        Err(Error::Option { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    for neighbours in [0, 1, 201, usize::MAX] {
        assert_eq!(name(Options { neighbours, ..options }), "neighbours");
    }
    for min_dist in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(name(Options { min_dist, ..options }), "min_dist");
    }
    for epochs in [0, 10_001] {
        assert_eq!(name(Options { epochs: Some(epochs), ..options }), "epochs");
    }
}

#[test]
fn rows_are_checked() {
    let map = |rows: &[f32], dimension| map(rows, dimension, &Options::default(), &Work::alone());
    assert_eq!(map(&[1.0], 0), Err(vectors::Error::Empty.into()));
    let ragged = vectors::Error::Ragged { elements: 3, dimension: 2 };
    assert_eq!(map(&[1.0, 2.0, 3.0], 2), Err(ragged.into()));
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        let not_finite = vectors::Error::NotFinite { row: 1 };
        assert_eq!(map(&[1.0, 2.0, bad, 2.0], 2), Err(not_finite.into()));
    }
}

#[test]
fn a_map_can_be_ended() {
    for rows in [2000, 20_500] {
        let rows = clusters(rows, 4, 5, 1);
        for at in [Phase::Neighbours, Phase::Layout] {
            let options = Options { epochs: Some(2), ..Options::default() };
            let go_on = |phase, _, _| phase != at;
            let work = Work { threads: 2, go_on: &go_on, ..Work::alone() };
            assert_eq!(map(&rows, 4, &options, &work), Err(Error::Cancelled), "{at:?}");
        }
    }
}
