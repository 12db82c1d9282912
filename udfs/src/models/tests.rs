//! States of parts, as bytes, give the answer of all rows; what they hold is counted.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};

use super::measure::{Measure, Measured};
use super::*;
use crate::aggregate::Statistic;
use crate::output::Output;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Float64Type;

/// Labels and probabilities by whole-number arithmetic; every 17th row has a NULL.
fn columns(rows: usize) -> [ArrayRef; 2] {
    let label = |i: usize| (i % 17 != 3).then_some(f64::from(u8::from(i * 31 % 11 < 4)));
    let score = |i: usize| (i % 17 != 5).then_some((i * 104_729 % 997) as f64 / 1000.0);
    let labels: Float64Array = (0..rows).map(label).collect();
    let scores: Float64Array = (0..rows).map(score).collect();
    [Arc::new(labels), Arc::new(scores)]
}

/// The state of each column pair's rows that `keep` lets through.
fn state<M: Measure>(
    columns: &[ArrayRef; 2],
    options: &M::Options,
    keep: impl Fn(u32) -> bool,
) -> Measured<M> {
    let batch = Measured::<M>::batch(columns, options).unwrap();
    let rows: Vec<u32> = (0..columns[0].len() as u32).filter(|row| keep(*row)).collect();
    let mut state = Measured::<M>::default();
    state.push(&batch, &rows);
    state
}

fn answer<M: Measure>(state: &Measured<M>, options: &M::Options) -> Option<f64> {
    let mut output = Output::new(Measured::<M>::shape());
    state.finish(options, &mut output);
    let answers = output.finish().unwrap();
    answers.as_primitive::<Float64Type>().iter().next().flatten()
}

/// The options that a call with nothing but `k => 7` has.
fn default_options<M: Measure>() -> M::Options {
    let call = M::call();
    let null = |name| if name == "k" { Some(7) } else { None };
    let values: Vec<_> = call
        .arguments
        .iter()
        .map(|argument| datafusion::common::ScalarValue::Int64(null(argument.name)).into())
        .collect();
    M::options(&call.given_values(&values)).unwrap()
}

fn check<M: Measure>() {
    let (columns, options) = (columns(500), default_options::<M>());
    let name = M::call().name;
    let whole = state::<M>(&columns, &options, |_| true);
    let expected = answer(&whole, &options);
    assert!(expected.is_some_and(|value| value > 0.0 || name == "r2"), "{name}: {expected:?}");
    for parts in [2, 7, 500] {
        let mut merged = Measured::<M>::default();
        for part in (0..parts).rev() {
            let part = state::<M>(&columns, &options, |row| row % parts == part);
            let mut bytes = Vec::new();
            part.encode(&mut bytes);
            merged.merge(Measured::decode(&bytes).unwrap());
        }
        assert_eq!(answer(&merged, &options), expected, "{name} of {parts} parts");
    }
    let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
    let wrong = state::<M>(&[Arc::clone(&nan), nan], &options, |_| true);
    let mut bytes = Vec::new();
    wrong.encode(&mut bytes);
    let mut merged = whole;
    merged.merge(Measured::decode(&bytes).unwrap());
    assert_eq!((answer(&merged, &options), merged.heap()), (None, 0), "{name} with a NaN");
    assert!(Measured::<M>::decode(&[0, 1, 2]).is_none(), "{name} of other bytes");
}

#[test]
fn merged_bytes_are_one_pass() {
    check::<accuracy::Accuracy>();
    check::<auc::Auc>();
    check::<brier::Brier>();
    check::<ece::Ece>();
    check::<f1::F1>();
    check::<hit_rate::HitRate>();
    check::<log_loss::LogLoss>();
    check::<mae::Mae>();
    check::<map_at::MapAt>();
    check::<mrr::Mrr>();
    check::<ndcg::Ndcg>();
    check::<pr_auc::PrAuc>();
    check::<precision::Precision>();
    check::<precision_at::PrecisionAt>();
    check::<r2::R2>();
    check::<recall::Recall>();
    check::<recall_at::RecallAt>();
    check::<rmse::Rmse>();
}

/// Eight bytes a score, sixteen an item: what is kept is what the pool hears of.
#[test]
fn kept_values_are_counted() {
    let columns = columns(10_000);
    let kept = 10_000 - 2 * 10_000 / 17 - 2;
    assert!(state::<auc::Auc>(&columns, &(), |_| true).heap() >= kept * 8);
    assert!(state::<mrr::Mrr>(&columns, &(), |_| true).heap() >= kept * 16);
    assert_eq!(state::<mae::Mae>(&columns, &(), |_| true).heap(), 0);
    let bins = default_options::<ece::Ece>();
    assert!(state::<ece::Ece>(&columns, &bins, |_| true).heap() >= 10 * 48);
    // One row has one bin, however many there are.
    let few = state::<ece::Ece>(&columns, &bins, |row| row == 0);
    assert!(few.heap() < 5 * 64);
}
