//! Rows to Parquet files: field ids, zstd (floats LZ4), page index, statistics for the catalog.
//!
//! A file is rolled when it is large enough; a partitioned table has one open file a partition.
//! Nothing refers to a file before the commit that names it.

mod columns;
mod floats;
mod statistics;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray, UInt32Array};
use datafusion::arrow::compute::{cast, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::model::{Column, Constraint, NewFile, Table};
use crate::scan::FIELD_ID;
use crate::types;
use columns::ColumnsWriter;
use floats::Floats;

/// Size at which a file is closed and the next one started.
const FILE_BYTES: usize = 512 * 1024 * 1024;
/// Rows in a data page: what a point read decodes.
const PAGE_ROWS: usize = 8192;
/// The codec of floats: with zstd random ones are a twentieth and prices a quarter smaller, and
/// reading takes about three times as long (two million values through pyarrow).
const FLOATS: Compression = Compression::LZ4_RAW;
/// Bytes of a column's dictionary in a row group, above which its values are written plain. Whoever
/// wants one row reads the whole dictionary; for text it saves more than for numbers.
const DICTIONARY_BYTES: usize = 64 << 10;
const TEXT_DICTIONARY_BYTES: usize = 256 << 10;
/// Open partition files of one writer.
const OPEN_PARTITIONS: usize = 64;

/// See the module.
pub struct TableWriter {
    store: Arc<dyn ObjectStore>,
    local: Option<std::path::PathBuf>,
    folder: String,
    table: Arc<Table>,
    schema: SchemaRef,
    properties: WriterProperties,
    threads: usize,
    open: BTreeMap<Vec<Option<String>>, OpenFile>,
    done: Vec<NewFile>,
    rows: u64,
}

struct OpenFile {
    name: String,
    writer: ColumnsWriter,
    floats: Floats,
}

impl TableWriter {
    /// A writer of files in `folder`, which is relative to the data path and ends with a slash.
    pub fn new(lake: &Lake, folder: &str, table: &Arc<Table>) -> Result<Self> {
        refuse_nested_intervals(table)?;
        table.columns.iter().try_for_each(|column| types::check_writable(&column.field))?;
        let fields: Vec<FieldRef> = table.columns.iter().map(written).collect();
        Ok(Self {
            store: Arc::clone(lake.store()),
            local: lake.local_folder().map(std::path::Path::to_path_buf),
            folder: folder.to_string(),
            table: Arc::clone(table),
            schema: Arc::new(ArrowSchema::new(fields)),
            properties: properties(table)?,
            // Files of many partitions are open at once: none of them keeps rows for later.
            threads: if table.partition_by.is_empty() { lake.write_threads() } else { 1 },
            open: BTreeMap::new(),
            done: Vec::new(),
            rows: 0,
        })
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends rows: the table's columns in order.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        if self.table.partition_by.is_empty() {
            return self.append(Vec::new(), batch).await;
        }
        for (values, rows) in partitions(&self.table, &batch)? {
            let part = take_record_batch(&batch, &UInt32Array::from(rows)).map_err(engine)?;
            self.append(values, part).await?;
        }
        Ok(())
    }

    async fn append(&mut self, partition: Vec<Option<String>>, batch: RecordBatch) -> Result<()> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns: Result<Vec<ArrayRef>> =
            columns.map(|(array, field)| stored(array, field.data_type())).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns?).map_err(engine)?;
        if !self.open.contains_key(&partition) {
            if self.open.len() >= OPEN_PARTITIONS
                && let Some((oldest, file)) = self.open.pop_first()
            {
                self.close(oldest, file).await?;
            }
            let file = self.start(&partition)?;
            self.open.insert(partition.clone(), file);
        }
        let Some(file) = self.open.get_mut(&partition) else { return Ok(()) };
        let path = format!("{}{}", self.folder, file.name);
        file.floats.see(&self.table, &batch);
        file.writer.write(batch).await.map_err(|e| failed(&path, &e))?;
        if file.writer.bytes_written() >= FILE_BYTES
            && let Some(file) = self.open.remove(&partition)
        {
            self.close(partition, file).await?;
        }
        Ok(())
    }

    fn start(&self, partition: &[Option<String>]) -> Result<OpenFile> {
        let mut name = String::new();
        for (key, value) in self.table.partition_by.iter().zip(partition) {
            let column = self.table.columns.iter().find(|c| c.id == key.column_id);
            let column = column.map_or("", |c| c.name.as_str());
            name.push_str(&format!("{column}={}/", encoded(value.as_deref())));
        }
        name.push_str(&format!("ducklake-{}.parquet", Uuid::now_v7()));
        let path = parsed(&format!("{}{name}", self.folder))?;
        let sink = BufWriter::new(Arc::clone(&self.store), path.clone());
        let properties = self.properties.clone();
        let schema = Arc::clone(&self.schema);
        let writer = ColumnsWriter::new(sink, schema, properties, self.threads)
            .map_err(|e| failed(path.as_ref(), &e))?;
        Ok(OpenFile { name, writer, floats: Floats::default() })
    }

    async fn close(&mut self, partition: Vec<Option<String>>, mut file: OpenFile) -> Result<()> {
        let path = format!("{}{}", self.folder, file.name);
        let metadata = file.writer.finish().await.map_err(|e| failed(&path, &e))?;
        let size = file.writer.bytes_written() as u64;
        self.sync(&path)?;
        let stats = statistics::of_file(&self.table, &self.schema, &metadata, &file.floats)?;
        self.done.push(NewFile {
            name: file.name,
            size,
            footer_size: statistics::footer_size(&metadata, size),
            rows: metadata.file_metadata().num_rows() as u64,
            partition_values: partition,
            stats,
        });
        Ok(())
    }

    /// Makes a local file durable; object stores are when they answer.
    fn sync(&self, path: &str) -> Result<()> {
        let Some(root) = &self.local else { return Ok(()) };
        let file = root.join(path);
        let failed = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::StorageFull => Error::DiskFull { path: path.to_string() },
            _ => Error::Object { path: path.to_string(), reason: e.to_string() },
        };
        std::fs::File::open(&file).and_then(|f| f.sync_all()).map_err(failed)?;
        match file.parent() {
            Some(folder) => std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(failed),
            None => Ok(()),
        }
    }

    /// The files, complete and durable.
    pub async fn finish(mut self) -> Result<Vec<NewFile>> {
        while let Some((partition, file)) = self.open.pop_first() {
            if let Err(error) = self.close(partition, file).await {
                self.abort().await;
                return Err(error);
            }
        }
        Ok(self.done)
    }

    /// Removes what has been written: nothing refers to it.
    pub async fn abort(self) {
        let done = self.done.into_iter().map(|file| file.name);
        let names: Vec<String> =
            done.chain(self.open.into_values().map(|file| file.name)).collect();
        for name in names {
            remove_file(&self.store, &format!("{}{name}", self.folder)).await;
        }
    }

    /// Removes one file that will not be committed; its path is from the data path.
    pub(crate) async fn remove_file(lake: &Lake, path: &str) {
        remove_file(lake.store(), path).await;
    }

    /// Removes finished files that will not be committed.
    pub async fn remove(lake: &Lake, folder: &str, files: &[NewFile]) {
        for file in files {
            remove_file(lake.store(), &format!("{folder}{}", file.name)).await;
        }
    }
}

/// The object of a path, whose encoded folder names are taken as they are.
fn parsed(path: &str) -> Result<Path> {
    Path::parse(path).map_err(|e| Error::Object { path: path.to_string(), reason: e.to_string() })
}

async fn remove_file(store: &Arc<dyn ObjectStore>, path: &str) {
    let Ok(location) = parsed(path) else { return };
    // An orphan is found and removed by clean-up later; there is nobody to tell here.
    if let Err(error) = store.delete(&location).await {
        tracing::debug!(path, %error, "an unfinished file was not removed");
    }
}

fn properties(table: &Table) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|e| Error::Engine(e.into()))?;
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_created_by(format!("sextant {}", env!("CARGO_PKG_VERSION")));
    // Parquet's statistics leave NaN out, and readers would drop row groups in which only NaN, the
    // greatest number, matches. What the catalog keeps of floats knows about NaN.
    for column in &table.columns {
        if column.field.data_type().is_floating() {
            let path: ColumnPath = column.name.as_str().into();
            builder = builder
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                .set_column_compression(path, FLOATS);
        }
        // A vector's floats.
        if let (DataType::FixedSizeList(..), Some(child)) =
            (column.field.data_type(), column.children.first())
        {
            let path = [column.name.clone(), "list".to_owned(), child.name.clone()];
            builder = builder.set_column_compression(ColumnPath::new(path.into()), FLOATS);
        }
        if column.field.data_type().is_string() {
            let path = column.name.as_str().into();
            builder = builder.set_column_dictionary_page_size_limit(path, TEXT_DICTIONARY_BYTES);
        }
    }
    for name in looked_up(table) {
        builder = builder.set_column_bloom_filter_enabled(name.into(), true);
    }
    Ok(builder.build())
}

/// Intervals are written as text: Parquet's have milliseconds, so that what was written would not
/// be what was inserted. Readers of the lake, DuckDB too, turn the text of a column into intervals.
fn refuse_nested_intervals(table: &Table) -> Result<()> {
    fn interval(column: &Column) -> bool {
        matches!(column.field.data_type(), DataType::Interval(_))
            || column.children.iter().any(interval)
    }
    match table.columns.iter().find(|column| column.children.iter().any(interval)) {
        None => Ok(()),
        Some(column) => Err(Error::NotSupported {
            message: format!("intervals inside column \"{}\" cannot be written", column.name),
            hint: Some("Keep a number of seconds or days instead.".into()),
        }),
    }
}

/// A column as its file holds it.
fn stored(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Interval(_) => {
            let texts = (0..array.len()).map(|row| types::value_text(array.as_ref(), row));
            Ok(Arc::new(texts.collect::<StringArray>()))
        }
        _ => cast(array, data_type).map_err(engine),
    }
}

/// Columns that point reads ask for: the first sort key, single-column keys and indexes.
fn looked_up(table: &Table) -> Vec<String> {
    let sort = table.sort_by.first().map(|key| key.column.clone());
    let keys = table.constraints.iter().filter_map(|constraint| match constraint {
        Constraint::Unique { columns, .. } if columns.len() == 1 => Some(columns[0]),
        Constraint::Index(index) if index.keys.len() == 1 && index.vectors.is_none() => {
            Some(index.keys[0].column)
        }
        Constraint::Unique { .. }
        | Constraint::Index(_)
        | Constraint::Check { .. }
        | Constraint::Generated { .. }
        | Constraint::ForeignKey { .. } => None,
    });
    let name = |id| table.columns.iter().find(|c| c.id == id).map(|c| c.name.clone());
    let keys = keys.filter_map(name);
    sort.into_iter().chain(keys).collect()
}

/// A column's field as it is written: with its id, vectors as lists.
fn written(column: &Column) -> FieldRef {
    let ids = |id: i64| HashMap::from([(FIELD_ID.to_string(), id.to_string())]);
    let data_type = match column.field.data_type() {
        DataType::List(element) | DataType::FixedSizeList(element, _) => {
            match column.children.first() {
                Some(child) => DataType::List(written(child)),
                None => DataType::List(Arc::clone(element)),
            }
        }
        DataType::Struct(_) => DataType::Struct(column.children.iter().map(written).collect()),
        DataType::Interval(_) => DataType::Utf8,
        other => other.clone(),
    };
    let field = Field::new(&column.name, data_type, true);
    Arc::new(field.with_metadata(ids(column.id)))
}

/// Rows by partition values, in the order in which partitions first appear.
pub(crate) fn partitions(
    table: &Table,
    batch: &RecordBatch,
) -> Result<Vec<(Vec<Option<String>>, Vec<u32>)>> {
    let mut keys = Vec::with_capacity(table.partition_by.len());
    for key in &table.partition_by {
        let index = table.columns.iter().position(|c| c.id == key.column_id);
        let index = index.ok_or_else(|| Error::UndefinedColumn {
            table: table.name.clone(),
            column: key.column_id.to_string(),
        })?;
        keys.push(transformed(batch.column(index), &key.transform)?);
    }
    let mut found: Vec<(Vec<Option<String>>, Vec<u32>)> = Vec::new();
    let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
    for row in 0..batch.num_rows() {
        let values: Vec<Option<String>> =
            keys.iter().map(|array| types::value_text(array.as_ref(), row)).collect();
        let place = *places.entry(values.clone()).or_insert_with(|| {
            found.push((values, Vec::new()));
            found.len() - 1
        });
        found[place].1.push(row as u32);
    }
    Ok(found)
}

/// A partition transform's value for every row.
fn transformed(array: &ArrayRef, transform: &str) -> Result<ArrayRef> {
    use datafusion::arrow::compute::{DatePart, date_part};
    let part = match transform {
        "identity" => return Ok(Arc::clone(array)),
        "year" => DatePart::Year,
        "month" => DatePart::Month,
        "day" => DatePart::Day,
        "hour" => DatePart::Hour,
        other => {
            return Err(Error::NotSupported {
                message: format!("partition transform {other} is not supported"),
                hint: Some("Use a column, year, month, day or hour.".into()),
            });
        }
    };
    date_part(array.as_ref(), part).map_err(engine)
}

/// A value in a Hive-style folder name.
fn encoded(value: Option<&str>) -> String {
    let Some(value) = value else { return "__HIVE_DEFAULT_PARTITION__".into() };
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn engine(error: datafusion::arrow::error::ArrowError) -> Error {
    Error::Engine(error.into())
}

fn failed(path: &str, error: &datafusion::parquet::errors::ParquetError) -> Error {
    let reason = error.to_string();
    match reason.contains("No space left") {
        true => Error::DiskFull { path: path.to_string() },
        false => Error::Object { path: path.to_string(), reason },
    }
}
