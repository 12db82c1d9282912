//! Delete files: Parquet files that list the deleted positions of one data file.
//!
//! Columns `file_path` and `pos` as in Iceberg, with its field ids. A file that holds deletions of
//! several snapshots has a third column that says when each took place.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use datafusion::parquet::arrow::{ArrowWriter, ProjectionMask};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use roaring::RoaringTreemap;

use crate::error::{Error, Result};
use crate::model::SnapshotId;
use crate::storage;

const PATH_FIELD: i64 = 2_147_483_646;
const POSITION_FIELD: i64 = 2_147_483_645;
/// Column of files that hold what several snapshots did: which one it was.
pub const SNAPSHOT_COLUMN: &str = "_ducklake_internal_snapshot_id";
/// Its field id.
pub const SNAPSHOT_FIELD: i64 = 2_147_483_539;
/// Bytes at the end of a Parquet file: length of the footer and the magic.
const TAIL: usize = 8;

/// A deleted position, and the snapshot of the deletion where the file says it.
pub type Deletion = (u64, Option<SnapshotId>);

/// Positions that a delete file lists, up to a snapshot.
pub async fn read(store: &dyn ObjectStore, path: &str, upto: SnapshotId) -> Result<RoaringTreemap> {
    let listed = list(store, path).await?;
    let then = listed.into_iter().filter(|(_, at)| at.is_none_or(|at| at <= upto));
    Ok(then.map(|(position, _)| position).collect())
}

/// All that a delete file lists.
pub async fn list(store: &dyn ObjectStore, path: &str) -> Result<Vec<Deletion>> {
    let location = Path::parse(path).map_err(|e| storage::error(path, &e.into()))?;
    let get = store.get(&location).await.map_err(|e| storage::error(path, &e))?;
    let bytes = get.bytes().await.map_err(|e| storage::error(path, &e))?;
    decode(bytes).map_err(|reason| Error::Damaged { path: path.to_owned(), reason })
}

/// Positions of a file's rows that came after a snapshot: a merged or flushed file holds rows of
/// several, each with its own.
pub async fn later(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    at: SnapshotId,
) -> Result<RoaringTreemap> {
    let snapshots = numbers(store, path, SNAPSHOT_COLUMN).await?;
    let snapshots = snapshots.ok_or_else(|| Error::Damaged {
        path: path.to_owned(),
        reason: format!("it has no column \"{SNAPSHOT_COLUMN}\""),
    })?;
    let positions = (0_u64..).zip(snapshots).filter(|(_, snapshot)| *snapshot > at);
    Ok(positions.map(|(position, _)| position).collect())
}

/// A column of numbers that a file carries beside the table's; None: it has none of the name.
pub async fn numbers(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    column: &str,
) -> Result<Option<Vec<i64>>> {
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    let location = Path::parse(path).map_err(|e| storage::error(path, &e.into()))?;
    let found = store.head(&location).await.map_err(|e| storage::error(path, &e))?;
    let mut file = PartitionedFile::new("", found.size);
    file.object_meta = found;
    let readers = DefaultParquetFileReaderFactory::new(Arc::clone(store));
    let reader = readers.create_reader(0, file, None, &ExecutionPlanMetricsSet::new());
    let reader: Box<dyn AsyncFileReader> = reader.map_err(Error::Engine)?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
    let builder = builder.map_err(|e| damaged(e.to_string()))?;
    if !builder.schema().fields().iter().any(|field| field.name() == column) {
        return Ok(None);
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), [column]);
    let mut batches = builder.with_projection(mask).build().map_err(|e| damaged(e.to_string()))?;
    let mut all = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|e| damaged(e.to_string()))?;
        let numbers = cast(batch.column(0), &DataType::Int64);
        let numbers = numbers.map_err(|e| damaged(format!("column \"{column}\": {e}")))?;
        all.extend_from_slice(numbers.as_primitive::<Int64Type>().values());
    }
    Ok(Some(all))
}

fn decode(bytes: Bytes) -> Result<Vec<Deletion>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| e.to_string())?;
    let reader = reader.build().map_err(|e| e.to_string())?;
    let mut listed = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let column = |name: &str| {
            let array = batch.column_by_name(name)?;
            cast(array, &DataType::Int64).ok()
        };
        let deleted = column("pos").ok_or("it has no column \"pos\"")?;
        let deleted = deleted.as_primitive::<Int64Type>();
        let snapshots = column(SNAPSHOT_COLUMN);
        let snapshots = snapshots.as_ref().map(|s| s.as_primitive::<Int64Type>());
        let row = |row| (deleted.value(row).unsigned_abs(), snapshots.map(|s| s.value(row)));
        listed.extend((0..deleted.len()).map(row));
    }
    Ok(listed)
}

/// A delete file as bytes, and the size of its footer. All deletions have a snapshot or none has.
pub fn encode(data_file: &str, deletions: &[Deletion]) -> Result<(Bytes, u64)> {
    let field = |name: &str, data_type: DataType, id: i64| {
        let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
        Field::new(name, data_type, true).with_metadata(id)
    };
    let mut fields = vec![
        field("file_path", DataType::Utf8, PATH_FIELD),
        field("pos", DataType::Int64, POSITION_FIELD),
    ];
    let paths = StringArray::from_iter_values(std::iter::repeat_n(data_file, deletions.len()));
    let positions = deletions.iter().map(|(position, _)| position.cast_signed());
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(paths), Arc::new(Int64Array::from_iter_values(positions))];
    let snapshots: Option<Vec<SnapshotId>> = deletions.iter().map(|(_, at)| *at).collect();
    if let Some(snapshots) = snapshots.filter(|snapshots| !snapshots.is_empty()) {
        fields.push(field(SNAPSHOT_COLUMN, DataType::Int64, SNAPSHOT_FIELD));
        columns.push(Arc::new(Int64Array::from(snapshots)));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
    let batch = batch.map_err(|e| Error::Engine(e.into()))?;
    let mut bytes = Vec::new();
    let written = ArrowWriter::try_new(&mut bytes, schema, None).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.close()
    });
    written.map_err(|e| Error::Engine(e.into()))?;
    let tail = bytes.len().saturating_sub(TAIL);
    let footer = bytes.get(tail..tail + 4).map_or([0; 4], |b| [b[0], b[1], b[2], b[3]]);
    Ok((Bytes::from(bytes), u64::from(u32::from_le_bytes(footer))))
}
