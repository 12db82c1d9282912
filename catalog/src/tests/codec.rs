//! Plans that went through bytes look and answer as those that did not.

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int32Array, IntervalMonthDayNanoArray,
};
use datafusion::arrow::datatypes::{IntervalMonthDayNanoType, IntervalUnit, Schema as ArrowSchema};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::execution::TaskContext;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_proto_converter as from_bytes,
    physical_plan_to_bytes_with_proto_converter as to_bytes,
};
use datafusion_proto::physical_plan::{
    ComposedPhysicalExtensionCodec, DeduplicatingProtoConverter, DefaultPhysicalExtensionCodec,
    DefaultPhysicalProtoConverter, PhysicalExtensionCodec, PhysicalProtoConverterExtension,
};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::*;

/// What is asked of every table: `t`, and `a` with the addresses of its rows.
const QUERIES: [&str; 11] = [
    "SELECT * FROM t",
    "SELECT count(*) FROM t",
    "SELECT k + 1, k FROM t WHERE k > 2 AND k < 90",
    "SELECT k FROM t ORDER BY k DESC LIMIT 2",
    "SELECT a.k FROM t a JOIN t b ON a.k = b.k WHERE b.k % 2 = 0",
    "SELECT k FROM t WHERE k > (SELECT min(k) FROM t)",
    "SELECT abs(k), count(*) FROM t GROUP BY abs(k)",
    "SELECT * FROM a",
    "SELECT __sextant_position, k FROM a WHERE k > 1",
    "SELECT k, __sextant_file FROM a WHERE __sextant_position < 2",
    "SELECT count(*) FROM a",
];

/// A session that knows nothing of the lake but its store.
fn session(lake: &Lake, partitions: usize, pushdown: bool) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .set_bool("datafusion.execution.parquet.pushdown_filters", pushdown);
    let context = SessionContext::new_with_config(config);
    let store = Arc::clone(lake.store());
    context.runtime_env().register_object_store(lake.store_url().as_ref(), store);
    context
}

async fn lines(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in collect(plan, context).await.unwrap() {
        let cell = |row, column: &_| array_value_to_string(column, row).unwrap();
        let line = |row| batch.columns().iter().map(|c| cell(row, c)).collect::<Vec<_>>().join("|");
        lines.extend((0..batch.num_rows()).map(line));
    }
    lines.sort();
    lines
}

/// Alone, with shared filters staying shared, and among other codecs.
fn ways() -> Vec<(Box<dyn PhysicalExtensionCodec>, Box<dyn PhysicalProtoConverterExtension>)> {
    let composed = ComposedPhysicalExtensionCodec::new(vec![
        Arc::new(DefaultPhysicalExtensionCodec {}),
        Arc::new(LakeCodec),
    ]);
    vec![
        (Box::new(LakeCodec), Box::new(DefaultPhysicalProtoConverter {})),
        (Box::new(LakeCodec), Box::new(DeduplicatingProtoConverter {})),
        (Box::new(composed), Box::new(DeduplicatingProtoConverter {})),
    ]
}

/// A plan as EXPLAIN shows it, without the order in which a sort would like row groups read.
fn shape(plan: &Arc<dyn ExecutionPlan>) -> String {
    let shape = displayable(plan.as_ref()).indent(true).to_string();
    let line = |line: &str| match line.find(", sort_order_for_reorder=[") {
        None => line.to_owned(),
        Some(at) => {
            let rest = line[at..].split_once(']').unwrap().1;
            format!("{}{}", &line[..at], rest.replace(", reverse_row_groups=true", ""))
        }
    };
    shape.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn check(lake: &Lake, context: &SessionContext, query: &str) -> Vec<String> {
    let frame = context.sql(query).await.unwrap();
    let (here, plan) = (Arc::new(frame.task_ctx()), frame.create_physical_plan().await.unwrap());
    let before = shape(&plan);
    let mut sent = Vec::new();
    for (codec, converter) in ways() {
        let bytes = to_bytes(Arc::clone(&plan), codec.as_ref(), converter.as_ref()).unwrap();
        let there = session(lake, 3, false).task_ctx();
        let decoded = from_bytes(&bytes, &there, codec.as_ref(), converter.as_ref()).unwrap();
        assert_eq!(decoded.schema(), plan.schema(), "{before}");
        assert_eq!(shape(&decoded), before);
        sent.push(lines(decoded, there).await);
    }
    let rows = lines(plan, here).await;
    sent.iter().for_each(|sent| assert_eq!(*sent, rows, "{query}\n{before}"));
    rows
}

/// Asks everything of the table `t`; gives its rows.
async fn round_trips(lake: &Lake) -> Vec<String> {
    let state = lake.current().await.unwrap();
    let t = table(&state, "t");
    let found = lake.rows(&state, &t).await.unwrap();
    let mut all = Vec::new();
    for (partitions, pushdown) in [(1, false), (4, true)] {
        let context = session(lake, partitions, pushdown);
        for (name, addressed) in [("t", false), ("a", true)] {
            let (url, rows) = (lake.store_url().clone(), Arc::clone(&found));
            let provider = LakeTable::new(url, Arc::clone(&t), rows, addressed);
            context.register_table(name, Arc::new(provider)).unwrap();
        }
        for query in QUERIES {
            let rows = check(lake, &context, query).await;
            assert!(!rows.is_empty(), "{query}");
            if query == QUERIES[0] {
                all = rows;
            }
        }
    }
    all
}

async fn write(transaction: &mut Transaction, arrays: Vec<ArrayRef>) {
    let t = table(transaction.state(), "t");
    let schema = Arc::clone(&transaction.state().schemas["main"]);
    let batch = RecordBatch::try_new(t.arrow_schema(), arrays).unwrap();
    let mut writer = TableWriter::new(transaction.lake(), &t.folder(&schema), &t).unwrap();
    writer.write(batch).await.unwrap();
    transaction.append_files(t.id, writer.finish().await.unwrap());
}

fn pair(keys: std::ops::Range<i64>) -> Vec<ArrayRef> {
    let values = keys.clone().map(|k| format!("v{k}"));
    let values: StringArray = values.map(Some).collect();
    vec![Arc::new(Int64Array::from_iter_values(keys)), Arc::new(values)]
}

/// A lake whose table `t (k bigint, v text)` has two files and a row in the catalog.
async fn lake_with_files(folder: &TempDir, partition_by: &[(String, String)]) -> Arc<Lake> {
    let lake = open(folder).await;
    let mut transaction = begin(&lake).await;
    let new = NewTable { partition_by: partition_by.to_vec(), ..pairs("t") };
    transaction.create_table("main", new).unwrap();
    write(&mut transaction, pair(0..5)).await;
    write(&mut transaction, pair(5..8)).await;
    insert(&mut transaction, "t", &[(20, "kept")]).await;
    transaction.commit().await.unwrap();
    lake
}

/// Deletes positions 0 and 2 of the first file.
async fn delete_some(lake: &Arc<Lake>) {
    let mut transaction = begin(lake).await;
    let t = table(transaction.state(), "t");
    let file = transaction.rows(&t).await.unwrap().files[0].id;
    transaction.delete(t.id, &BTreeMap::from([(file, RoaringTreemap::from([0, 2]))]));
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn files_and_kept_rows() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with_files(&folder, &[]).await;
    let rows = round_trips(&lake).await;
    assert_eq!(rows.len(), 9);
    assert!(rows.contains(&"20|kept".to_owned()));
}

#[tokio::test]
async fn deletions() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with_files(&folder, &[]).await;
    delete_some(&lake).await;
    let rows = round_trips(&lake).await;
    assert_eq!(rows, ["1|v1", "20|kept", "3|v3", "4|v4", "5|v5", "6|v6", "7|v7"]);
}

#[tokio::test]
async fn renamed_added_and_replaced_columns() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with_files(&folder, &[]).await;
    delete_some(&lake).await;
    let mut transaction = begin(&lake).await;
    let added = NewColumn { default: Some("7".to_owned()), ..column("n", DataType::Int32) };
    let changes = [
        TableChange::RenameColumn { name: "v".into(), to: "w".into() },
        TableChange::AddColumn(added),
        TableChange::AddColumn(column("v", DataType::Utf8)),
    ];
    for change in changes {
        transaction.alter_table("main", "t", change).unwrap();
    }
    let mut arrays = pair(30..31);
    arrays.push(Arc::new(Int32Array::from(vec![8])));
    arrays.push(Arc::new(StringArray::from(vec!["new"])));
    write(&mut transaction, arrays).await;
    transaction.commit().await.unwrap();
    let rows = round_trips(&lake).await;
    assert_eq!(rows.len(), 8);
    for row in ["1|v1|7|", "20|kept|7|", "30|v30|8|new"] {
        assert!(rows.contains(&row.to_owned()), "{rows:?}");
    }
}

#[tokio::test]
async fn partitions() {
    let folder = TempDir::new().unwrap();
    let lake = lake_with_files(&folder, &[("k".into(), "identity".into())]).await;
    delete_some(&lake).await;
    assert_eq!(round_trips(&lake).await.len(), 8);
}

/// A file as other tools write it: uuids as sixteen bytes.
async fn foreign(lake: &Lake, name: &str, key: i64) -> NewFile {
    let id = |id: i64| [("PARQUET:field_id".to_owned(), id.to_string())].into();
    let schema = Arc::new(ArrowSchema::new(vec![
        Field::new("k", DataType::Int64, true).with_metadata(id(1)),
        Field::new("u", DataType::FixedSizeBinary(16), true).with_metadata(id(2)),
        Field::new("i", DataType::Utf8, true).with_metadata(id(3)),
    ]));
    let uuid = FixedSizeBinaryArray::try_from_iter([[0xAB; 16]].into_iter()).unwrap();
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![key])),
        Arc::new(uuid),
        Arc::new(StringArray::from(vec!["1 month 2 days"])),
    ];
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), None).unwrap();
    writer.write(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
    writer.close().unwrap();
    let size = bytes.len() as u64;
    lake.store().put(&Path::parse(format!("main/t/{name}")).unwrap(), bytes.into()).await.unwrap();
    NewFile {
        name: name.to_owned(),
        size,
        footer_size: 0,
        rows: 1,
        partition_values: Vec::new(),
        stats: Default::default(),
    }
}

#[tokio::test]
async fn values_that_files_hold_in_another_form() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder).await;
    let mut transaction = begin(&lake).await;
    let uuid = Field::new("u", DataType::Utf8, true)
        .with_metadata([(TYPE_KEY.to_owned(), "uuid".to_owned())].into());
    let columns = vec![
        column("k", DataType::Int64),
        NewColumn { field: uuid, ..column("u", DataType::Utf8) },
        column("i", DataType::Interval(IntervalUnit::MonthDayNano)),
    ];
    let new = NewTable { name: "t".to_owned(), columns, ..NewTable::default() };
    let t = transaction.create_table("main", new).unwrap();
    assert_eq!(t.folder(&transaction.state().schemas["main"]), "main/t/");
    let interval = IntervalMonthDayNanoType::make_value(1, -2, 3_000);
    let own = |key: i64| -> Vec<ArrayRef> {
        vec![
            Arc::new(Int64Array::from_iter_values(key..key + 3)),
            Arc::new(StringArray::from(vec!["d786fd78-4193-47dd-b0dd-76e54ad4dae6"; 3])),
            Arc::new(IntervalMonthDayNanoArray::from(vec![Some(interval), None, Some(interval)])),
        ]
    };
    write(&mut transaction, own(0)).await;
    write(&mut transaction, own(5)).await;
    let files = vec![foreign(&lake, "x.parquet", 10).await, foreign(&lake, "y.parquet", 11).await];
    transaction.append_files(t.id, files);
    transaction.append_rows(t.id, RecordBatch::try_new(t.arrow_schema(), own(12)).unwrap());
    transaction.commit().await.unwrap();
    delete_some(&lake).await;
    let rows = round_trips(&lake).await;
    assert_eq!(rows.len(), 9);
    let foreign = "10|abababab-abab-abab-abab-abababababab|1 mons 2 days";
    assert!(rows.iter().any(|row| row == foreign), "{rows:?}");
}
