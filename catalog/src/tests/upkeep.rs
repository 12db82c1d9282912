//! Upkeep changes nothing that can be read: random histories with flushes, merges, expiry and
//! clean-up between their commits, each snapshot compared with what it held when it was made.

use std::time::Duration;

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::*;

/// Rows as (k, v) in the order of k: what the table should hold.
type Model = BTreeMap<i64, String>;

#[derive(Debug, Clone)]
enum Step {
    /// So many rows, kept in the catalog or written to a file.
    Insert(i64, bool),
    /// Rows whose key leaves a rest, by a divisor.
    Delete(i64, i64),
    Update(i64, i64),
    /// An update during which rows are flushed, or files merged.
    UpdateWhile(i64, i64, bool),
    AddColumn,
    DropColumn,
    Partition(bool),
    Sort,
    Flush,
    Merge,
    /// All but so many of the newest snapshots.
    Expire(usize),
    CleanUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6i64, prop::bool::ANY).prop_map(|(rows, file)| Step::Insert(rows, file)),
        3 => (2..5i64, 0..4i64).prop_map(|(divisor, rest)| Step::Delete(divisor, rest)),
        3 => (2..5i64, 0..4i64).prop_map(|(divisor, rest)| Step::Update(divisor, rest)),
        2 => (2..5i64, 0..4i64, prop::bool::ANY)
            .prop_map(|(divisor, rest, merge)| Step::UpdateWhile(divisor, rest, merge)),
        1 => Just(Step::AddColumn),
        1 => Just(Step::DropColumn),
        1 => prop::bool::ANY.prop_map(Step::Partition),
        1 => Just(Step::Sort),
        4 => Just(Step::Flush),
        3 => Just(Step::Merge),
        1 => (1..4usize).prop_map(Step::Expire),
        1 => Just(Step::CleanUp),
    ]
}

fn engine(lake: &Lake) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let store = Arc::clone(lake.store());
    context.runtime_env().register_object_store(lake.store_url().as_ref(), store);
    context
}

async fn scan(lake: &Lake, t: &Arc<Table>, found: Arc<TableRows>, addressed: bool) -> RecordBatch {
    let provider = LakeTable::new(lake.store_url().clone(), Arc::clone(t), found, addressed);
    let schema = datafusion::catalog::TableProvider::schema(&provider);
    let batches = engine(lake).read_table(Arc::new(provider)).unwrap().collect().await.unwrap();
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    datafusion::arrow::compute::concat_batches(&schema, &batches).unwrap()
}

/// All rows at a snapshot as text, sorted.
async fn text(lake: &Lake, snapshot: SnapshotId) -> Vec<String> {
    let state = lake.at_snapshot(snapshot).await.unwrap();
    let t = table(&state, "t");
    let batch = scan(lake, &t, lake.rows(&state, &t).await.unwrap(), false).await;
    let cell = |row, column: &_| array_value_to_string(column, row).unwrap();
    let line = |row| batch.columns().iter().map(|c| cell(row, c)).collect::<Vec<_>>().join("|");
    let mut lines: Vec<String> = (0..batch.num_rows()).map(line).collect();
    lines.sort();
    lines
}

/// Deletes rows by key and says which they were.
async fn remove(transaction: &mut Transaction, divisor: i64, rest: i64) -> Vec<i64> {
    let t = table(transaction.state(), "t");
    let found = transaction.rows(&t).await.unwrap();
    let batch = scan(transaction.lake(), &t, found, true).await;
    let numbers = |index: usize| batch.column(index).as_primitive::<Int64Type>().clone();
    let width = batch.num_columns();
    let (keys, files, positions) = (numbers(0), numbers(width - 2), numbers(width - 1));
    let mut addresses: BTreeMap<FileId, RoaringTreemap> = BTreeMap::new();
    let mut removed = Vec::new();
    for row in (0..batch.num_rows()).filter(|row| keys.value(*row) % divisor == rest) {
        addresses.entry(files.value(row)).or_default().insert(positions.value(row) as u64);
        removed.push(keys.value(row));
    }
    transaction.delete(t.id, &addresses);
    removed
}

async fn put(transaction: &mut Transaction, rows: &[(i64, String)], file: bool) {
    let t = table(transaction.state(), "t");
    let keys = || Int64Array::from_iter_values(rows.iter().map(|(k, _)| *k));
    let mut arrays: Vec<datafusion::arrow::array::ArrayRef> = vec![Arc::new(keys())];
    arrays.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, v)| v))));
    if t.columns.len() > 2 {
        arrays.push(Arc::new(keys()));
    }
    let batch = RecordBatch::try_new(t.arrow_schema(), arrays).unwrap();
    if !file {
        transaction.append_rows(t.id, batch);
        return;
    }
    let schema = Arc::clone(transaction.state().schemas.get("main").unwrap());
    let mut writer = TableWriter::new(transaction.lake(), &t.folder(&schema), &t).unwrap();
    writer.write(batch).await.unwrap();
    transaction.append_files(t.id, writer.finish().await.unwrap());
}

async fn change(transaction: &mut Transaction, model: &mut Model, step: &Step, number: i64) {
    match step {
        Step::Insert(rows, file) => {
            let new: Vec<(i64, String)> =
                (0..*rows).map(|row| (number * 100 + row, format!("v{}", row % 2))).collect();
            put(transaction, &new, *file).await;
            model.extend(new);
        }
        Step::Delete(divisor, rest) => {
            for key in remove(transaction, *divisor, *rest).await {
                assert!(model.remove(&key).is_some(), "{key} is not there");
            }
        }
        Step::Update(divisor, rest) | Step::UpdateWhile(divisor, rest, _) => {
            let keys = remove(transaction, *divisor, *rest).await;
            let new: Vec<(i64, String)> =
                keys.iter().map(|key| (*key, format!("u{number}"))).collect();
            put(transaction, &new, number % 2 == 0).await;
            model.extend(new);
        }
        Step::AddColumn if table(transaction.state(), "t").columns.len() == 2 => {
            let added = TableChange::AddColumn(column("e", DataType::Int64));
            transaction.alter_table("main", "t", added).unwrap();
        }
        Step::DropColumn if table(transaction.state(), "t").columns.len() == 3 => {
            let dropped = TableChange::DropColumn { name: "e".into() };
            transaction.alter_table("main", "t", dropped).unwrap();
        }
        Step::Partition(on) => {
            let key = || vec![("v".to_owned(), "identity".to_owned())];
            let keys = if *on { key() } else { Vec::new() };
            transaction.alter_table("main", "t", TableChange::SetPartitionedBy(keys)).unwrap();
        }
        Step::Sort => {
            let key = SortKey { column: "v".into(), descending: true, nulls_first: false };
            transaction.alter_table("main", "t", TableChange::SetSortedBy(vec![key])).unwrap();
        }
        _ => {}
    }
}

/// Runs the history on two servers of one lake, who take turns; the first does the upkeep.
async fn run(steps: Vec<Step>) {
    let folder = TempDir::new().unwrap();
    let lake = lake_with(&folder, &[]).await;
    let other = open(&folder).await;
    let (mut model, mut snapshots) = (Model::new(), BTreeMap::new());
    for (number, step) in steps.iter().enumerate() {
        let state = lake.current().await.unwrap();
        let id = table(&state, "t").id;
        match step {
            Step::Flush => {
                lake.flush(id).await.unwrap();
                assert!(lake.kept().await.unwrap().is_empty(), "something is left");
            }
            Step::Merge => _ = lake.merge(&engine(&lake).state(), id).await.unwrap(),
            Step::Expire(keep) => {
                let ids: Vec<SnapshotId> = snapshots.keys().rev().skip(*keep).copied().collect();
                let last = ids.first().copied().unwrap_or(-1);
                let all = lake.snapshots().await.unwrap();
                let time = all.iter().find(|s| s.id == last).map_or(0, |s| s.time_us + 1);
                lake.expire_before(time).await.unwrap();
                snapshots.retain(|id, _| *id > last);
            }
            Step::CleanUp => _ = lake.clean_up(Duration::ZERO).await.unwrap(),
            step => {
                let writer = if number % 3 == 0 { &other } else { &lake };
                let mut transaction = begin(writer).await;
                change(&mut transaction, &mut model, step, number as i64).await;
                match step {
                    Step::UpdateWhile(.., false) => _ = lake.flush(id).await.unwrap(),
                    Step::UpdateWhile(.., true) => {
                        lake.merge(&engine(&lake).state(), id).await.unwrap();
                    }
                    _ => {}
                }
                transaction.commit().await.unwrap();
            }
        }
        let newest = lake.current().await.unwrap().snapshot.id;
        let now = text(&lake, newest).await;
        let keys: Vec<String> = model.iter().map(|(k, v)| format!("{k}|{v}")).collect();
        let mut shown: Vec<String> = now
            .iter()
            .map(|line| line.splitn(3, '|').take(2).collect::<Vec<_>>().join("|"))
            .collect();
        let mut keys = keys;
        keys.sort();
        shown.sort();
        assert_eq!(shown, keys, "after step {number} {step:?}");
        snapshots.insert(newest, now);
    }
    let fresh = open(&folder).await;
    for (id, then) in snapshots {
        assert_eq!(text(&lake, id).await, then, "snapshot {id}");
        assert_eq!(text(&fresh, id).await, then, "snapshot {id}, read anew");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_can_be_read_changes(steps in prop::collection::vec(step(), 1..25)) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(steps));
    }
}
