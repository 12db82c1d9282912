//! `LakeCodec`: plans that scan the lake as bytes, for a plan to run on another machine.
//!
//! ```text
//!   here                                   bytes                        there
//!   DataSourceExec (LakeScan) ──▶ ours (row numbers) ─ Parquet scan ──▶ DataSourceExec (LakeScan)
//!   DeletesExec ────────────────▶ ours (bitmaps) ───── input ─────────▶ DeletesExec
//! ```
//! DataFusion writes the Parquet scan itself, filters and projection included, with the virtual
//! columns in the guise of partition columns: they have the same places in the table's schema.
//! Reading gives them back their own, and the scan the way it finds columns. Kept rows travel as
//! DataFusion's memory scans, and conversions of a file's values are chosen where it is opened.
//!
//! What is left behind only costs time: in which order a sort would like the row groups read.
//! The other side needs the object store when it decodes, and must read either all partitions of
//! a scan or set `datafusion.execution.enable_file_stream_work_stealing` to false: partitions of
//! one scan take files from each other, and what is read elsewhere would be read twice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Fields, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::proto::ExecutionPlanEncodeCtx;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use datafusion_proto::protobuf::PhysicalPlanNode;
use prost::Message;
use roaring::RoaringTreemap;

use super::columns::ByFieldId;
use super::source::LakeScan;
use super::{DeletesExec, FOOTER_HINT};
use crate::model::FileId;

/// See the module. In a list of codecs it comes last: it lets functions travel by name.
#[derive(Debug, Default, Clone, Copy)]
pub struct LakeCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct Node {
    #[prost(oneof = "Kind", tags = "1, 2")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Scan(Scan),
    #[prost(message, tag = "2")]
    Deletes(Deletes),
}

/// What the Parquet scan below it lacks.
#[derive(Clone, PartialEq, prost::Message)]
struct Scan {
    /// How many of the last partition columns are virtual columns.
    #[prost(uint64, tag = "1")]
    virtual_columns: u64,
    #[prost(bool, tag = "2")]
    preserve_order: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Deletes {
    #[prost(message, repeated, tag = "1")]
    files: Vec<FileDeletes>,
    #[prost(bool, tag = "2")]
    keep_address: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FileDeletes {
    #[prost(int64, tag = "1")]
    file: FileId,
    /// Roaring's portable form.
    #[prost(bytes = "vec", tag = "2")]
    positions: Vec<u8>,
}

impl PhysicalExtensionCodec for LakeCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = inputs else {
            return Err(malformed(&format!("it has {} inputs and not one", inputs.len())));
        };
        let node = Node::decode(bytes).map_err(|error| malformed(&error.to_string()))?;
        match node.kind {
            Some(Kind::Scan(scan)) => restored(input, &scan),
            Some(Kind::Deletes(deletes)) => {
                let bitmaps = bitmaps(&deletes.files)?;
                let input = Arc::clone(input);
                Ok(Arc::new(DeletesExec::with_bitmaps(input, bitmaps, deletes.keep_address)?))
            }
            None => Err(malformed("it is of no known kind")),
        }
    }

    fn try_encode(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let kind = if let Some(shipped) = plan.downcast_ref::<ShippedScan>() {
            Kind::Scan(shipped.scan.clone())
        } else if let Some(deletes) = plan.downcast_ref::<DeletesExec>() {
            Kind::Deletes(encoded(deletes)?)
        } else {
            let message = format!("{} is not a plan of the lake", plan.name());
            return Err(DataFusionError::NotImplemented(message));
        };
        let encoded = Node { kind: Some(kind) }.encode(bytes);
        encoded.map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

fn malformed(reason: &str) -> DataFusionError {
    DataFusionError::Plan(format!("a plan node of the lake cannot be read: {reason}"))
}

fn encoded(deletes: &DeletesExec) -> Result<Deletes> {
    let mut files = Vec::with_capacity(deletes.deleted().len());
    for (file, bitmap) in deletes.deleted() {
        let mut positions = Vec::with_capacity(bitmap.serialized_size());
        bitmap.serialize_into(&mut positions)?;
        files.push(FileDeletes { file: *file, positions });
    }
    Ok(Deletes { files, keep_address: deletes.keeps_address() })
}

fn bitmaps(files: &[FileDeletes]) -> Result<BTreeMap<FileId, Arc<RoaringTreemap>>> {
    let bitmap = |deleted: &FileDeletes| {
        let mut rest = deleted.positions.as_slice();
        let bitmap = RoaringTreemap::deserialize_from(&mut rest);
        let bitmap = bitmap.map_err(|error| malformed(&error.to_string()))?;
        match rest.is_empty() {
            true => Ok((deleted.file, Arc::new(bitmap))),
            false => Err(malformed(&format!("{} bytes follow a bitmap", rest.len()))),
        }
    };
    let bitmaps: BTreeMap<_, _> = files.iter().map(bitmap).collect::<Result<_>>()?;
    match bitmaps.len() == files.len() {
        true => Ok(bitmaps),
        false => Err(malformed("a file has two bitmaps")),
    }
}

/// A scan as bytes.
pub(super) fn scan_node(
    config: &FileScanConfig,
    context: &ExecutionPlanEncodeCtx,
) -> Result<PhysicalPlanNode> {
    let source = parquet(config)?;
    let schema = source.table_schema();
    let virtual_columns = schema.virtual_columns();
    let guise: Vec<_> =
        schema.table_partition_cols().iter().chain(virtual_columns).cloned().collect();
    let guise = TableSchema::builder(Arc::clone(schema.file_schema()))
        .with_table_partition_cols(guise)
        .build();
    let plain = FileScanConfigBuilder::from(config.clone())
        .with_source(over(guise, source)?)
        .with_expr_adapter(None)
        .build();
    let scan = Scan {
        virtual_columns: virtual_columns.len() as u64,
        preserve_order: config.preserve_order,
    };
    let shipped = ShippedScan { scan, plain: DataSourceExec::from_data_source(plain) };
    context.encode_child(&(Arc::new(shipped) as Arc<dyn ExecutionPlan>))
}

/// The scan that was encoded, from the plain one that travelled.
fn restored(plain: &Arc<dyn ExecutionPlan>, scan: &Scan) -> Result<Arc<dyn ExecutionPlan>> {
    let config = plain.downcast_ref::<DataSourceExec>();
    let config = config.and_then(|exec| exec.data_source().downcast_ref::<FileScanConfig>());
    let config = config.ok_or_else(|| malformed("its input is not a scan of files"))?;
    let source = parquet(config)?;
    let schema = source.table_schema();
    let columns = schema.table_partition_cols();
    let virtual_columns = usize::try_from(scan.virtual_columns).ok();
    let partition_columns = virtual_columns.and_then(|count| columns.len().checked_sub(count));
    let partition_columns = partition_columns
        .ok_or_else(|| malformed(&format!("it has only {} added columns", columns.len())))?;
    let (partition_columns, virtual_columns) = columns.split_at(partition_columns);
    let schema = TableSchema::builder(Arc::clone(schema.file_schema()))
        .with_table_partition_cols(partition_columns.to_vec())
        .with_virtual_columns(Fields::from(virtual_columns.to_vec()))
        .build();
    let config = FileScanConfigBuilder::from(config.clone())
        .with_source(over(schema, source)?)
        .with_expr_adapter(Some(Arc::new(ByFieldId)))
        .with_preserve_order(scan.preserve_order)
        .build();
    Ok(DataSourceExec::from_data_source(LakeScan::new(config)))
}

fn parquet(config: &FileScanConfig) -> Result<&ParquetSource> {
    let source = config.file_source().downcast_ref::<ParquetSource>();
    source.ok_or_else(|| malformed("its files are not Parquet"))
}

/// The same scan of a table whose columns have the same places.
fn over(schema: TableSchema, source: &ParquetSource) -> Result<Arc<dyn FileSource>> {
    let mut new = ParquetSource::new(schema)
        .with_table_parquet_options(source.table_parquet_options().clone())
        .with_metadata_size_hint(FOOTER_HINT);
    if let Some(factory) = source.parquet_file_reader_factory() {
        new = new.with_parquet_file_reader_factory(Arc::clone(factory));
    }
    if let Some(predicate) = source.filter() {
        new = new.with_predicate(predicate);
    }
    let projected = source.projection().map(|columns| new.try_pushdown_projection(columns));
    Ok(projected.transpose()?.flatten().unwrap_or_else(|| Arc::new(new)))
}

/// The form of a scan while it is being encoded: a node that codecs are asked for.
#[derive(Debug)]
struct ShippedScan {
    scan: Scan,
    plain: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for ShippedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for ShippedScan {
    fn name(&self) -> &str {
        "ShippedScan"
    }

    fn schema(&self) -> SchemaRef {
        self.plain.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plain.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plain]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [plain] = children.as_slice() else { return Ok(self) };
        Ok(Arc::new(Self { scan: self.scan.clone(), plain: Arc::clone(plain) }))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let message = "a scan was run in the form in which it travels".to_owned();
        Err(DataFusionError::Internal(message))
    }
}
