//! Windows at label time over generated rows, against all rows of each.

use std::collections::BTreeSet;

use datafusion::arrow::array::{Decimal128Array, ListArray};
use datafusion::arrow::datatypes::Decimal128Type;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, binary_expr, col, lit};
use datafusion::prelude::DataFrame;

use super::*;

/// A label: count, count of even rows, sum, average, deviation, least, greatest, newest three, oldest
/// two, number of keys `j`.
#[derive(Debug, PartialEq)]
struct Told {
    count: i64,
    even: i64,
    sum: Option<i128>,
    average: Option<f64>,
    deviation: Option<f64>,
    least: Option<i64>,
    greatest: Option<i64>,
    newest: Vec<i64>,
    oldest: Vec<i64>,
    distinct: i64,
}

fn naive(labels: &Rows, rows: &Rows, width: i64, excludes_current: bool) -> Vec<Told> {
    let of_label = |(k, _, t): &(Option<i64>, Option<i64>, Option<i64>)| {
        let is_in = |ts: i64, t: i64| match excludes_current {
            true => t - width <= ts && ts < t,
            false => t - width < ts && ts <= t,
        };
        let mut found: Vec<(i64, i64, Option<i64>)> = Vec::new();
        for (n, (key, j, ts)) in rows.iter().enumerate() {
            if let (Some(ts), Some(t), true) = (ts, t, k.is_some() && k == key)
                && is_in(*ts, *t)
            {
                found.push((*ts, n as i64, *j));
            }
        }
        found.sort_unstable();
        let numbers: Vec<i64> = found.iter().map(|(_, n, _)| *n).collect();
        let (count, sum) = (numbers.len() as i64, numbers.iter().map(|n| i128::from(*n)).sum());
        // Exact, as the numbers are small: the sum of squared deviations times the count.
        let squares: i128 = numbers.iter().map(|n| i128::from(n * n)).sum();
        let spread = i128::from(count) * squares - sum * sum;
        let variance = spread as f64 / (count * (count - 1)) as f64;
        Told {
            count,
            even: numbers.iter().filter(|n| *n % 2 == 0).count() as i64,
            sum: (count > 0).then_some(sum),
            average: (count > 0).then(|| sum as f64 / count as f64),
            deviation: (count > 1).then(|| variance.sqrt()),
            least: numbers.iter().min().copied(),
            greatest: numbers.iter().max().copied(),
            newest: numbers.iter().rev().take(3).copied().collect(),
            oldest: numbers.iter().take(2).copied().collect(),
            distinct: found.iter().filter_map(|(.., j)| *j).collect::<BTreeSet<_>>().len() as i64,
        }
    };
    labels.iter().map(of_label).collect()
}

fn features(width: i64, excludes_current: bool) -> Vec<WindowFeature> {
    let feature = |name: &str, function, argument: Option<Expr>, filter| WindowFeature {
        name: name.to_owned(),
        function,
        argument,
        filter,
        width: lit(width),
        excludes_current,
    };
    let n = || Some(col("r.n"));
    let even = binary_expr(col("r.n"), Operator::Modulo, lit(2_i64));
    vec![
        feature("count", Gathered::Count, None, None),
        feature("even", Gathered::Count, n(), Some(even.eq(lit(0_i64)))),
        feature("sum", Gathered::Sum, n(), None),
        feature("average", Gathered::Avg, n(), None),
        feature("deviation", Gathered::Stddev, n(), None),
        feature("least", Gathered::Min, n(), None),
        feature("greatest", Gathered::Max, n(), None),
        feature("newest", Gathered::Last(3), n(), None),
        feature("oldest", Gathered::First(2), n(), None),
        feature("distinct", Gathered::Distinct, Some(col("r.j")), None),
    ]
}

fn told(batch: &RecordBatch) -> Vec<(i64, Told)> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let int = |name: &str| column(name).as_primitive::<Int64Type>().clone();
    let float = |name: &str| {
        let array = column(name).as_primitive::<datafusion::arrow::datatypes::Float64Type>();
        array.iter().collect::<Vec<_>>()
    };
    let sums: &Decimal128Array = column("sum").as_primitive::<Decimal128Type>();
    let list = |name: &str, row: usize| -> Vec<i64> {
        let lists: &ListArray = column(name).as_list::<i32>();
        lists.value(row).as_primitive::<Int64Type>().values().to_vec()
    };
    let maybe = |array: &Int64Array, row: usize| array.is_valid(row).then(|| array.value(row));
    let row = |row: usize| {
        let told = Told {
            count: int("count").value(row),
            even: int("even").value(row),
            sum: sums.is_valid(row).then(|| sums.value(row)),
            average: float("average")[row],
            deviation: float("deviation")[row],
            least: maybe(&int("least"), row),
            greatest: maybe(&int("greatest"), row),
            newest: list("newest", row),
            oldest: list("oldest", row),
            distinct: int("distinct").value(row),
        };
        (int("n").value(row), told)
    };
    (0..batch.num_rows()).map(row).collect()
}

async fn plan_of(context: &SessionContext, table: &str) -> LogicalPlan {
    context.table(table).await.unwrap().into_unoptimized_plan()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_tell_of_their_rows() {
    let mut random = Random(4);
    for _ in 0..400 {
        let (count, of_rows) = (random.below(24) as usize, random.below(40) as usize);
        let labels = rows(&mut random, count, 3, 12);
        let of_rows = rows(&mut random, of_rows, 3, 12);
        let (width, excludes) = (1 + random.below(8), random.below(2) == 0);
        let partitions = [1, 2, 8][random.below(3) as usize];
        let context = context(partitions, 1 << 30);
        let types = (random.below(3) as usize, 0);
        let left = table(&mut random, &labels, types, partitions, false);
        let right = table(&mut random, &of_rows, types, partitions, true);
        context.register_table("l", Arc::new(left)).unwrap();
        context.register_table("r", Arc::new(right)).unwrap();
        let inputs = (plan_of(&context, "l").await, plan_of(&context, "r").await);
        let keys = vec![col("l.k").eq(col("r.k"))];
        let time = col("l.t").gt_eq(col("r.t"));
        let plan = windowed(inputs, keys, time, features(width, excludes)).unwrap();
        let batches = DataFrame::new(context.state(), plan).collect().await.unwrap();
        let mut found: Vec<(i64, Told)> = batches.iter().flat_map(told).collect();
        found.sort_by_key(|(label, _)| *label);
        let expected = naive(&labels, &of_rows, width, excludes);
        let expected: Vec<(i64, Told)> = (0..).zip(expected).collect();
        assert_eq!(found, expected, "width {width}, {labels:?} {of_rows:?}");
    }
}

/// Of what a function has no answer for, and of windows that are none, an error says so.
#[tokio::test]
async fn what_is_no_window_is_an_error() {
    let mut random = Random(5);
    let context = context(1, 1 << 30);
    let empty = Rows::new();
    for name in ["l", "r"] {
        let table = table(&mut random, &empty, (2, 4), 1, false);
        context.register_table(name, Arc::new(table)).unwrap();
    }
    let inputs = (plan_of(&context, "l").await, plan_of(&context, "r").await);
    let time = || col("l.t").gt_eq(col("r.t"));
    let one = |function, argument: &str, width| {
        vec![WindowFeature {
            name: "x".to_owned(),
            function,
            argument: Some(col(argument)),
            filter: None,
            width,
            excludes_current: false,
        }]
    };
    let sum = windowed(inputs.clone(), vec![], time(), one(Gathered::Sum, "r.k", lit(1)));
    assert!(sum.unwrap_err().to_string().contains("function sum(text) does not exist"));
    for (width, message) in [(lit(1), "does not fit times"), (lit("x"), "does not fit times")] {
        let plan = windowed(inputs.clone(), vec![], time(), one(Gathered::Count, "r.k", width));
        let error = DataFrame::new(context.state(), plan.unwrap()).collect().await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
