//! Windows at label time over generated rows, against all rows of each: delay, age, strict, rows
//! that must have been known, any cut into partitions, and memory that does not hold the labels.

use std::collections::BTreeSet;

use datafusion::arrow::array::{Decimal128Array, ListArray};
use datafusion::arrow::datatypes::{Decimal128Type, Float64Type, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, binary_expr, col, lit};

use super::*;

/// Key, a small value, time, and when it became known.
type Events = Vec<(Option<i64>, Option<i64>, Option<i64>, Option<i64>)>;

/// What a label gets: the number of its row, and of its window. `newest` has three rows, `oldest`
/// two, `distinct` counts small values, `recent` is of another window.
#[derive(Debug, PartialEq)]
struct Told {
    row: Option<i64>,
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
    recent: i64,
}

/// In minutes.
#[derive(Debug, Clone)]
struct Asked {
    labels: Rows,
    events: Events,
    inner: bool,
    width: Option<i64>,
    recent: i64,
    excludes: bool,
    strict: bool,
    delay: i64,
    age: Option<i64>,
    created: bool,
    known: bool,
    /// Nothing of the rows themselves is asked for.
    only_windows: bool,
}

fn asked(random: &mut Random, size: u64) -> Asked {
    let count = |random: &mut Random| random.below(size) as usize;
    let (keys, times) = (1 + random.below(size / 4 + 2) as u64, 1 + random.below(40) as u64);
    let (labels, events) = (count(random), count(random));
    let labels = rows(random, labels, keys, times);
    let events = rows(random, events, keys, times).into_iter();
    let events = events.map(|(k, j, t)| (k, j, t, random.maybe(|r| r.below(times)))).collect();
    let [excludes, strict, created, inner] = [0; 4].map(|_| random.below(2) == 0);
    Asked {
        labels,
        events,
        inner,
        width: (random.below(6) > 0).then(|| 1 + random.below(12)),
        recent: 1 + random.below(4),
        excludes,
        strict,
        delay: if random.below(2) == 0 { random.below(6) } else { 0 },
        age: (random.below(2) == 0).then(|| 1 + random.below(10)),
        created,
        known: created && random.below(2) == 0,
        only_windows: !inner && random.below(2) == 0,
    }
}

/// The rule, word by word.
fn naive(asked: &Asked) -> Vec<(i64, Told)> {
    let eligible = |t: i64, ts: i64, created: Option<i64>| {
        let is_early = if asked.strict { ts + asked.delay < t } else { ts + asked.delay <= t };
        is_early
            && asked.age.is_none_or(|age| ts >= t - age)
            && (!asked.known || created.is_some_and(|created| created <= t))
    };
    let is_in = |width: Option<i64>, t: i64, ts: i64| match asked.excludes {
        true => width.is_none_or(|width| t - width <= ts) && ts < t,
        false => width.is_none_or(|width| t - width < ts) && ts <= t,
    };
    let of_label = |(label, (k, _, t)): (usize, &(Option<i64>, Option<i64>, Option<i64>))| {
        let mut all: Vec<(i64, Option<i64>, i64, Option<i64>)> = Vec::new();
        for (n, (key, j, ts, created)) in asked.events.iter().enumerate() {
            if let (Some(ts), Some(t), true) = (ts, t, k.is_some() && k == key)
                && eligible(*t, *ts, *created)
            {
                all.push((*ts, created.filter(|_| asked.created), n as i64, *j));
            }
        }
        all.sort_unstable();
        let row = all.last().map(|row| row.2);
        let within = |width: Option<i64>| {
            let t = t.unwrap_or_default();
            all.iter().filter(move |row| is_in(width, t, row.0)).collect::<Vec<_>>()
        };
        if row.is_none() && asked.inner {
            return None;
        }
        let (found, recent) = (within(asked.width), within(Some(asked.recent)).len() as i64);
        let row = row.filter(|_| !asked.only_windows);
        let numbers: Vec<i64> = found.iter().map(|row| row.2).collect();
        let (count, sum) = (numbers.len() as i64, numbers.iter().map(|n| i128::from(*n)).sum());
        // Exact, as the numbers are small: the sum of squared deviations times the count.
        let squares: i128 = numbers.iter().map(|n| i128::from(n * n)).sum();
        let spread = i128::from(count) * squares - sum * sum;
        let variance = spread as f64 / (count * (count - 1)) as f64;
        let told = Told {
            row,
            count,
            even: numbers.iter().filter(|n| *n % 2 == 0).count() as i64,
            sum: (count > 0).then_some(sum),
            average: (count > 0).then(|| sum as f64 / count as f64),
            deviation: (count > 1).then(|| variance.sqrt()),
            least: numbers.iter().min().copied(),
            greatest: numbers.iter().max().copied(),
            newest: numbers.iter().rev().take(3).copied().collect(),
            oldest: numbers.iter().take(2).copied().collect(),
            distinct: found.iter().filter_map(|row| row.3).collect::<BTreeSet<_>>().len() as i64,
            recent,
        };
        Some((label as i64, told))
    };
    asked.labels.iter().enumerate().filter_map(of_label).collect()
}

fn features(asked: &Asked) -> Vec<WindowFeature> {
    let feature = |name: &str, function, argument: Option<Expr>, filter| WindowFeature {
        name: name.to_owned(),
        function,
        argument,
        filter,
        width_us: asked.width.map(|minutes| minutes * 60_000_000),
        excludes_current: asked.excludes,
    };
    let n = || Some(col("r.n"));
    let even = binary_expr(col("r.n"), Operator::Modulo, lit(2_i64));
    let recent = feature("recent", Gathered::Count, None, None);
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
        WindowFeature { width_us: Some(asked.recent * 60_000_000), ..recent },
    ]
}

fn told(batch: &RecordBatch) -> Vec<(i64, Told)> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let int = |name: &str| column(name).as_primitive::<Int64Type>().clone();
    let float = |name: &str| column(name).as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
    let sums: &Decimal128Array = column("sum").as_primitive::<Decimal128Type>();
    let list = |name: &str, row: usize| -> Vec<i64> {
        let lists: &ListArray = column(name).as_list::<i32>();
        lists.value(row).as_primitive::<Int64Type>().values().to_vec()
    };
    let maybe = |array: &Int64Array, row: usize| array.is_valid(row).then(|| array.value(row));
    let row = |row: usize| {
        let told = Told {
            row: batch.column_by_name("row").and_then(|_| maybe(&int("row"), row)),
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
            recent: int("recent").value(row),
        };
        (int("label").value(row), told)
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The tables, in any order and cut at random.
fn tables(random: &mut Random, asked: &Asked, context: &SessionContext, partitions: usize) {
    let types = (random.below(3) as usize, 4);
    let labels = table(random, &asked.labels, types, partitions, false);
    context.register_table("l", Arc::new(labels)).unwrap();
    let mut order: Vec<usize> = (0..asked.events.len()).collect();
    (1..order.len()).for_each(|at| order.swap(at, random.below(at as u64 + 1) as usize));
    let columns = |order: &[usize]| -> Vec<ArrayRef> {
        let of = |get: fn(&(Option<i64>, Option<i64>, Option<i64>, Option<i64>)) -> Option<i64>| {
            order.iter().map(|row| get(&asked.events[*row])).collect::<Vec<_>>()
        };
        vec![
            Arc::new(Int64Array::from_iter_values(order.iter().map(|row| *row as i64))),
            key(of(|row| row.0), types.0),
            key(of(|row| row.1), 0),
            time(of(|row| row.2), types.1),
            time(of(|row| row.3), types.1),
        ]
    };
    let whole = columns(&[]);
    let names = ["n", "k", "j", "t", "c"].iter().zip(&whole);
    let fields = names.map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut parts = vec![Vec::new(); partitions];
    for (turn, rows) in order.chunks(7).enumerate() {
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns(rows)).unwrap();
        parts[turn % partitions].push(batch);
    }
    context.register_table("r", Arc::new(MemTable::try_new(schema, parts).unwrap())).unwrap();
}

async fn plan(context: &SessionContext, asked: &Asked) -> LogicalPlan {
    let table = async |name| context.table(name).await.unwrap().into_unoptimized_plan();
    let minutes = |minutes: i64| {
        let interval = IntervalMonthDayNano::new(0, 0, minutes * 60_000_000_000);
        lit(ScalarValue::IntervalMonthDayNano(Some(interval)))
    };
    let time = match asked.strict {
        true => col("l.t").gt(col("r.t")),
        false => col("l.t").gt_eq(col("r.t")),
    };
    let on = On {
        keys: vec![col("l.k").eq(col("r.k"))],
        time: Some(time),
        created: asked.created.then(|| col("r.c")),
        known: if asked.known { Known::Required } else { Known::Ignored },
        delay: (asked.delay > 0).then(|| minutes(asked.delay)),
        tolerance: asked.age.map(minutes),
        features: features(asked),
        ..On::default()
    };
    let kind = if asked.inner { Kind::Inner } else { Kind::Left };
    let joined = join((table("l").await, table("r").await), (kind, false), on).unwrap();
    let mut items = vec![col("l.n").alias("label")];
    items.extend((!asked.only_windows).then(|| col("r.n").alias("row")));
    items.extend(features(asked).iter().map(|feature| col(&feature.name)));
    datafusion::logical_expr::LogicalPlanBuilder::from(joined)
        .project(items)
        .unwrap()
        .build()
        .unwrap()
}

async fn check(random: &mut Random, size: u64, memory_bytes: usize) -> usize {
    let mut asked = asked(random, size);
    if memory_bytes < 1 << 30 {
        // Keys that are few have no parts that could be smaller.
        let labels = asked.labels.iter_mut().enumerate();
        labels.for_each(|(row, of)| of.0 = of.0.map(|_| row as i64 / 3));
        let events = asked.events.iter_mut().enumerate();
        events.for_each(|(row, of)| of.0 = of.0.map(|_| row as i64 / 3));
    }
    let partitions = [1, 2, 8][random.below(3) as usize];
    let context = context(partitions, memory_bytes);
    tables(random, &asked, &context, partitions);
    let plan = plan(&context, &asked).await;
    let plan = context.state().create_physical_plan(&plan).await.unwrap();
    let plan = sent(&context, plan);
    let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
    let mut found: Vec<(i64, Told)> = batches.iter().flat_map(told).collect();
    found.sort_by_key(|(label, _)| *label);
    assert_eq!(found, naive(&asked), "{partitions} partitions, {asked:?}");
    spilled(plan.as_ref())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_agree_with_the_rule() {
    let mut random = Random(4);
    for _ in 0..1500 {
        check(&mut random, 32, 1 << 30).await;
    }
    for _ in 0..40 {
        check(&mut random, 600, 1 << 30).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_on_disk_agree_with_the_rule() {
    let (mut random, mut spills) = (Random(6), 0);
    for _ in 0..12 {
        spills += check(&mut random, 6000, 16 << 20).await;
    }
    assert!(spills > 0, "nothing was spilled");
}

/// Of what a function has no answer for an error says so.
#[tokio::test]
async fn what_is_no_number_has_no_sum() {
    let mut random = Random(5);
    let context = context(1, 1 << 30);
    for name in ["l", "r"] {
        let table = table(&mut random, &Rows::new(), (2, 4), 1, false);
        context.register_table(name, Arc::new(table)).unwrap();
    }
    let table = async |name| context.table(name).await.unwrap().into_unoptimized_plan();
    let feature = WindowFeature {
        name: "x".to_owned(),
        function: Gathered::Sum,
        argument: Some(col("r.k")),
        filter: None,
        width_us: Some(1),
        excludes_current: false,
    };
    let time = Some(col("l.t").gt_eq(col("r.t")));
    let on = On { time, features: vec![feature], ..On::default() };
    let sum = join((table("l").await, table("r").await), (Kind::Left, false), on);
    assert!(sum.unwrap_err().to_string().contains("function sum(text) does not exist"));
}
