//! A user's mistake is an error with a name.

use kernels::ann::{
    Builder, Effort, Error, Model, Options, Phase, Query, Scratch, Work, calibrate, merge, search,
};
use kernels::simd::level::Level;
use kernels::vectors::{self, Metric, Rows, Visible};

use super::data::data;

#[test]
fn queries_are_checked() {
    let data = data(500, 1, 8, 1);
    let segment = data.segment(Metric::L2);
    let ask = |vector: &[f32], k: usize, effort: Effort| {
        let query = Query { vector, k, effort, visible: Visible::default(), vectors: None };
        let mut scratch = Scratch::default();
        search(segment.head(), &segment, Level::best(), &query, &mut scratch).map(|_| ())
    };
    let good = Effort::Recall(0.9);
    let wrong = vectors::Error::Dimension { expected: 8, found: 7 };
    assert_eq!(ask(&[0.0; 7], 1, good), Err(wrong.into()));
    assert_eq!(ask(&[0.0; 8], 0, good), Err(vectors::Error::NoLimit.into()));
    let not_finite = Err(vectors::Error::NotFinite { row: 0 }.into());
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        assert_eq!(ask(&[bad; 8], 1, good), not_finite);
    }
    for recall in [0.0, -1.0, 1.01, f32::NAN] {
        assert_eq!(ask(&[0.0; 8], 1, Effort::Recall(recall)), Err(Error::Recall));
    }
    assert_eq!(ask(&[0.0; 8], usize::MAX, good), Ok(()));
}

#[test]
fn builds_are_checked() {
    let work = Work::alone();
    let train = |metric, dimension, rows: &[f32], width| {
        let rows = Rows::single(rows, width).unwrap();
        Model::train(Options::new(metric, dimension), rows, rows.len(), &work).map(|_| ())
    };
    assert_eq!(train(Metric::L1, 2, &[1.0, 2.0], 2), Err(Error::Metric));
    assert_eq!(train(Metric::L2, 2, &[], 2), Err(Error::NoSample));
    assert_eq!(train(Metric::Cosine, 2, &[0.0, 0.0], 2), Err(Error::NoSample));
    let wrong = vectors::Error::Dimension { expected: 3, found: 2 };
    assert_eq!(train(Metric::L2, 3, &[1.0, 2.0], 2), Err(wrong.into()));
    let not_finite = vectors::Error::NotFinite { row: 1 };
    let rows = [1.0, 2.0, f32::NAN, 0.0];
    assert_eq!(train(Metric::L2, 2, &rows, 2), Err(not_finite.into()));
    let data = data(100, 1, 2, 1);
    let model = data.model(Metric::L2);
    let mut builder = Builder::new(model.clone());
    let rows = Rows::single(&rows, 2).unwrap();
    assert_eq!(builder.push(rows, &[0, 1], &work), Err(not_finite.into()));
    let unequal = Error::Rows { numbers: 1, rows: 2 };
    assert_eq!(builder.push(rows, &[0], &work), Err(unequal));
    let rows = Rows::single(&[1.0; 6], 3).unwrap();
    let wrong = vectors::Error::Dimension { expected: 2, found: 3 };
    assert_eq!(builder.push(rows, &[0, 1], &work), Err(wrong.into()));
    assert_eq!(builder.rows(), 0);
    let empty = builder.finish();
    assert_eq!(calibrate(&empty, None, &work).unwrap().curves, []);
    let other = Builder::new(self::data(100, 1, 2, 2).model(Metric::L2)).finish();
    let merged = merge(&[(&empty, None), (&other, None)], |_, number| number);
    assert_eq!(merged.map(|_| ()), Err(Error::OtherModel));
    assert_eq!(merge(&[], |_, number| number).map(|_| ()), Err(Error::NoSample));
}

#[test]
fn work_can_be_stopped() {
    let data = data(5000, 1, 16, 1);
    for phase in [Phase::Clusters, Phase::Codes] {
        let go_on = |at, _, _| at != phase;
        let work = Work { go_on: &go_on, threads: 2, ..Work::alone() };
        let options = Options::new(Metric::L2, 16);
        let stopped = Model::train(options, data.rows(), 5000, &work).map(|_| ());
        assert_eq!(stopped, Err(Error::Cancelled));
    }
    let segment = data.segment(Metric::L2);
    let work = Work { go_on: &|_, _, _| false, ..Work::alone() };
    assert_eq!(calibrate(&segment, None, &work), Err(Error::Cancelled));
}
