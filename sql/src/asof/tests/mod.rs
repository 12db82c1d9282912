//! Joins of generated rows against the rule in its naive form: any cut into batches and partitions,
//! any order, keys and times of several types, and memory that does not hold the labels.

mod windows;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Field, Int64Type, Schema};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_proto_converter as from_bytes,
    physical_plan_to_bytes_with_proto_converter as to_bytes,
};
use datafusion_proto::physical_plan::DeduplicatingProtoConverter;

use super::*;
use crate::parse::{Parsed, parse};

/// SplitMix64: the same cases for a seed on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> i64 {
        (self.next() % end.max(1)) as i64
    }

    fn maybe(&mut self, value: impl FnOnce(&mut Self) -> i64) -> Option<i64> {
        (self.below(10) > 0).then(|| value(self))
    }
}

/// Two keys and a time; a row's place in its list is its number.
type Rows = Vec<(Option<i64>, Option<i64>, Option<i64>)>;

#[derive(Debug, Clone)]
struct Case {
    labels: Rows,
    rows: Rows,
    kind: &'static str,
    operator: &'static str,
    nearest: bool,
    tolerance: Option<i64>,
    keys: usize,
    types: (usize, usize),
    filter: Option<i64>,
    guard: Option<i64>,
}

fn rows(random: &mut Random, count: usize, keys: u64, times: u64) -> Rows {
    let one = |random: &mut Random| {
        let key = random.maybe(|r| r.below(keys) * 1_000_003);
        (key, random.maybe(|r| r.below(2)), random.maybe(|r| r.below(times)))
    };
    (0..count).map(|_| one(random)).collect()
}

fn case(random: &mut Random, size: u64) -> Case {
    let count = |random: &mut Random| random.below(size) as usize;
    let (keys, times) = (1 + random.below(size / 4 + 2) as u64, 1 + random.below(40) as u64);
    let (labels, of_rows) = (count(random), count(random));
    let pick =
        |random: &mut Random, of: &[&'static str]| of[random.below(of.len() as u64) as usize];
    Case {
        labels: rows(random, labels, keys, times),
        rows: rows(random, of_rows, keys, times),
        kind: pick(random, &["inner", "left", "semi", "anti"]),
        operator: pick(random, &[">=", ">", "<=", "<"]),
        nearest: random.below(4) == 0,
        tolerance: (random.below(2) == 0).then(|| random.below(10)),
        keys: random.below(3) as usize,
        types: (random.below(3) as usize, random.below(5) as usize),
        filter: (random.below(4) == 0).then(|| random.below(size)),
        guard: (random.below(4) == 0).then(|| random.below(size)),
    }
}

/// The rule, word by word: label and row numbers that come out; a tie goes to the greater number.
fn naive(case: &Case) -> Vec<(i64, Option<i64>)> {
    let mut out = Vec::new();
    for (label, (k, j, t)) in case.labels.iter().enumerate() {
        let candidates = case.rows.iter().enumerate().filter_map(|(row, (rk, rj, ts))| {
            let same = |on: bool, a: &Option<i64>, b: &Option<i64>| !on || a.is_some() && a == b;
            let (t, ts) = ((*t)?, (*ts)?);
            let in_order =
                case.nearest || if case.operator.starts_with('>') { ts <= t } else { t <= ts };
            let passes = same(case.keys > 0, k, rk)
                && same(case.keys > 1, j, rj)
                && in_order
                && !(case.operator.len() == 1 && ts == t)
                && case.tolerance.is_none_or(|by| (t - ts).abs() <= by)
                && case.filter.is_none_or(|least| row as i64 >= least)
                && case.guard.is_none_or(|least| label as i64 >= least);
            passes.then_some((-(t - ts).abs(), -ts, row as i64))
        });
        let found = candidates.max().map(|(_, _, row)| row);
        match (case.kind, found) {
            ("inner", Some(row)) => out.push((label as i64, Some(row))),
            ("left", found) => out.push((label as i64, found)),
            ("semi", Some(_)) | ("anti", None) => out.push((label as i64, None)),
            _ => {}
        }
    }
    out
}

fn key(values: Vec<Option<i64>>, kind: usize) -> ArrayRef {
    match kind {
        0 => Arc::new(Int64Array::from(values)),
        1 => Arc::new(Int32Array::from_iter(values.into_iter().map(|v| v.map(|v| v as i32)))),
        _ => {
            let text = values.into_iter().map(|v| v.map(|v| format!("key {v}")));
            Arc::new(StringArray::from_iter(text))
        }
    }
}

fn time(values: Vec<Option<i64>>, kind: usize) -> ArrayRef {
    match kind {
        0 => Arc::new(Int64Array::from(values)),
        1 => Arc::new(Float64Array::from_iter(values.into_iter().map(|v| v.map(|v| v as f64)))),
        2 => Arc::new(Date32Array::from_iter(values.into_iter().map(|v| v.map(|v| v as i32)))),
        3 => Arc::new(Int32Array::from_iter(values.into_iter().map(|v| v.map(|v| v as i32)))),
        _ => {
            let times = values.into_iter().map(|v| v.map(|v| v * 60_000_000));
            Arc::new(TimestampMicrosecondArray::from_iter(times))
        }
    }
}

/// A table of (number, k, j, t) cut at random; `shuffled`: in another order.
fn table(
    random: &mut Random,
    rows: &Rows,
    types: (usize, usize),
    partitions: usize,
    shuffled: bool,
) -> MemTable {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if shuffled {
        (1..order.len()).for_each(|at| order.swap(at, random.below(at as u64 + 1) as usize));
    }
    let array = |order: &[usize]| -> Vec<ArrayRef> {
        let of = |get: fn(&(Option<i64>, Option<i64>, Option<i64>)) -> Option<i64>| {
            order.iter().map(|row| get(&rows[*row])).collect::<Vec<_>>()
        };
        vec![
            Arc::new(Int64Array::from_iter_values(order.iter().map(|row| *row as i64))),
            key(of(|row| row.0), types.0),
            key(of(|row| row.1), 0),
            time(of(|row| row.2), types.1),
        ]
    };
    let whole = array(&order);
    let names = ["n", "k", "j", "t"].iter().zip(&whole);
    let fields = names.map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut parts = vec![Vec::new(); partitions];
    let mut rest = order.as_slice();
    // In order, so that labels keep theirs.
    for (index, part) in parts.iter_mut().enumerate() {
        let last = index + 1 == partitions;
        let share = if last { rest.len() } else { random.below(rest.len() as u64 + 1) as usize };
        let (mut mine, others) = rest.split_at(share);
        rest = others;
        while !mine.is_empty() {
            let (now, later) = mine.split_at(1 + random.below(mine.len() as u64) as usize);
            part.push(RecordBatch::try_new(Arc::clone(&schema), array(now)).unwrap());
            mine = later;
        }
    }
    MemTable::try_new(schema, parts).unwrap()
}

fn text(case: &Case) -> String {
    let rows = match case.filter {
        Some(least) => format!("(select * from r where n >= {least})"),
        None => "r".to_owned(),
    };
    let keys = ["true", "l.k = r.k", "l.k = r.k and r.j = l.j"][case.keys];
    let guard = case.guard.map_or(String::new(), |least| format!(" and l.n >= {least}"));
    let tolerance = case.tolerance.map_or(String::new(), |by| match case.types.1 {
        2 => format!(" tolerance interval '{by} days'"),
        4 => format!(" tolerance interval '{by} minutes'"),
        _ => format!(" tolerance {by}"),
    });
    let nearest = if case.nearest { " nearest" } else { "" };
    let shown = if ["semi", "anti"].contains(&case.kind) { "null::bigint" } else { "r.n" };
    format!(
        "select l.n, {shown} from l {} asof join {rows} r match_condition (l.t {} r.t) on {keys}\
         {guard}{tolerance}{nearest}",
        case.kind, case.operator
    )
}

fn context(partitions: usize, memory_bytes: usize) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(16)
        .set_bool("datafusion.execution.parquet.pushdown_filters", true);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
        .build_arc()
        .unwrap();
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_query_planner(Arc::new(AsOfQueries))
        .with_relation_planners(vec![Arc::new(AsOfRelations)])
        .with_optimizer_rules(optimizer_rules())
        .build();
    SessionContext::new_with_state(state)
}

/// The rows that a statement returns, two numbers each, and how often the operator spilled.
async fn answer(context: &SessionContext, sql: &str) -> (Vec<(i64, Option<i64>)>, usize) {
    let Parsed::Sql(statement) = parse(sql).unwrap().remove(0).parsed else { panic!("{sql}") };
    let mut statement = Arc::unwrap_or_clone(statement);
    nest(&mut statement).unwrap();
    let statement = EngineStatement::Statement(Box::new(statement));
    let plan = context.state().statement_to_plan(statement).await.unwrap();
    let plan = context.state().create_physical_plan(&plan).await.unwrap();
    let plan = sent(context, plan);
    let batches = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
    let mut out = Vec::new();
    for batch in batches {
        let (labels, rows) = (batch.column(0), batch.column(1));
        let (labels, rows) = (labels.as_primitive::<Int64Type>(), rows.as_primitive::<Int64Type>());
        out.extend(labels.values().iter().copied().zip(rows.iter()));
    }
    (out, spilled(plan.as_ref()))
}

/// What comes out when a plan has gone through bytes: the same.
fn sent(context: &SessionContext, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let (codec, converter) = (AsOfCodec, DeduplicatingProtoConverter {});
    let bytes = to_bytes(Arc::clone(&plan), &codec, &converter).unwrap();
    let sent = from_bytes(&bytes, &context.task_ctx(), &codec, &converter).unwrap();
    let shape = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).indent(true).to_string();
    assert_eq!(shape(&sent), shape(&plan));
    sent
}

fn spilled(plan: &dyn ExecutionPlan) -> usize {
    let own = match plan.downcast_ref::<AsOfExec>() {
        Some(_) => plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or(0),
        None => 0,
    };
    own + plan.children().into_iter().map(|child| spilled(child.as_ref())).sum::<usize>()
}

async fn check(random: &mut Random, size: u64, memory_bytes: usize) -> usize {
    let mut case = case(random, size);
    if memory_bytes < 1 << 30 {
        // What has no keys, or too few, has no parts that could be smaller.
        let spread = |rows: &mut Rows, most: i64| {
            let key = |row: usize| Some(row as i64 / 3).filter(|key| *key < most);
            rows.iter_mut().enumerate().for_each(|(row, of)| of.0 = of.0.and(key(row)));
        };
        case.keys = case.keys.max(1);
        // Labels without a key have parts of their own, too.
        let most = [i64::MAX, 20, 0][random.below(3) as usize];
        spread(&mut case.labels, most);
        spread(&mut case.rows, i64::MAX);
    }
    let partitions = [1, 2, 8][random.below(3) as usize];
    let context = context(partitions, memory_bytes);
    let labels = table(random, &case.labels, case.types, partitions, false);
    // The column that decides ties comes first, as they go by what is in the rows.
    let rows = table(random, &case.rows, case.types, partitions, true);
    context.register_table("l", Arc::new(labels)).unwrap();
    context.register_table("r", Arc::new(rows)).unwrap();
    let (mut found, spills) = answer(&context, &text(&case)).await;
    let mut expected = naive(&case);
    // A repartition above the join may turn the order around.
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{partitions} partitions, {}\n{case:?}", text(&case));
    spills
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_joins_agree_with_the_rule() {
    let mut random = Random(1);
    for _ in 0..1500 {
        check(&mut random, 24, 1 << 30).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn larger_joins_agree_with_the_rule() {
    let mut random = Random(2);
    for _ in 0..60 {
        check(&mut random, 600, 1 << 30).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_on_disk_agree_with_the_rule() {
    let (mut random, mut spills) = (Random(3), 0);
    for _ in 0..40 {
        spills += check(&mut random, 5000, 1 << 20).await;
    }
    assert!(spills > 0, "nothing was spilled");
}
