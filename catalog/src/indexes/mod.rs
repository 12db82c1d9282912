//! Vector indexes: what CREATE INDEX said, what has been built, and the objects that hold it.
//!
//! ```text
//!   Constraint::Index, VectorIndex { uuid, … }        follows the table and its columns
//!   definition ("vector_index", uuid) ─▶ Segments     what a snapshot has of it
//!   <table folder>/sextant-<uuid>.ann                 a segment, immutable
//! ```
//!
//! A segment is of whole data files, whose rows it numbers one file after the other: a row's number
//! is its position and the rows of the files before. Rows that have been deleted since, and files
//! that have been merged away, are hidden by a bitmap; rows of other files, kept rows and those of
//! this transaction are read beside it. A row whose vector is NULL is in no segment.

mod build;
mod cache;
mod measure;
mod progress;
mod segment;
mod upkeep;

use std::collections::HashSet;
use std::sync::Arc;

use kernels::vectors::{Kind, Metric};

use crate::lake::Lake;
use crate::model::{Constraint, DataFile, FileId, Index, State, Table, TableRows};
use crate::types::VectorType;

use build::IndexBuild;
pub(crate) use cache::Cache;
pub use measure::Measured;
pub use progress::Progress;
pub use segment::Segment;
pub use upkeep::Tended;

/// Kind of the definitions that say which segments an index has; named by the index's uuid.
pub const VECTOR_INDEX: &str = "vector_index";
/// Fewer vectors than this are scanned as quickly as an index of them is searched.
pub const LEAST_INDEXED: u64 = 4096;

/// What an index over vectors is for.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VectorIndex {
    /// Names its segments, whatever the index is called.
    pub uuid: String,
    pub measure: Measure,
    /// The recall of searches that ask for none, over 0 and at most 1.
    pub recall: f64,
}

/// The distance that an index orders by: pgvector's operator classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    InnerProduct,
    L2,
    Cosine,
}

/// The segments of an index at a snapshot.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Segments {
    /// The table's uuid: they go when it goes.
    pub table: String,
    pub segments: Vec<SegmentFile>,
}

/// One segment as the catalog knows it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SegmentFile {
    /// From the data path.
    pub path: String,
    pub bytes: u64,
    /// Where the index starts in the object; before it are the vectors.
    pub start: u64,
    pub head_bytes: u64,
    /// Rows that a search can find.
    pub indexed: u64,
    /// Rows that had no vector.
    pub nulls: u64,
    pub lists: u64,
    /// Residuals against those of training: over 1.1 the centres do not fit.
    pub drift: f64,
    /// In the order of row numbers.
    pub files: Vec<Covered>,
}

/// A data file that a segment covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Covered {
    pub file: FileId,
    pub rows: u64,
}

/// A vector index of a table with what it has at a snapshot.
#[derive(Debug, Clone)]
pub struct TableIndex {
    pub name: String,
    pub of: VectorIndex,
    /// The place of the column in the table.
    pub column: usize,
    /// The places of the columns that filters ask without reading the table.
    pub included: Vec<usize>,
    pub dimension: usize,
    /// Of the column; a segment has floats.
    pub kind: Kind,
    pub segments: Arc<Segments>,
    pub lake: Arc<Lake>,
}

impl Measure {
    /// Of the name of an operator class, and of what it is one.
    pub fn of_operators(name: &str) -> Option<(Self, Kind)> {
        let measures = [Self::InnerProduct, Self::L2, Self::Cosine];
        let all =
            [Kind::Single, Kind::Half].into_iter().flat_map(|kind| measures.map(|m| (m, kind)));
        all.into_iter().find(|(measure, kind)| measure.operators(*kind) == name)
    }

    /// pgvector's name of the operator class.
    pub fn operators(self, kind: Kind) -> String {
        let measure = match self {
            Self::InnerProduct => "ip",
            Self::L2 => "l2",
            Self::Cosine => "cosine",
        };
        format!("{}_{measure}_ops", kind.name())
    }

    /// The function that its operator is.
    pub fn function(self) -> &'static str {
        match self {
            Self::InnerProduct => "negative_inner_product",
            Self::L2 => "l2_distance",
            Self::Cosine => "cosine_distance",
        }
    }

    pub fn metric(self) -> Metric {
        match self {
            Self::InnerProduct => Metric::InnerProduct,
            Self::L2 => Metric::L2,
            Self::Cosine => Metric::Cosine,
        }
    }
}

impl TableIndex {
    /// pgvector's name of its operator class.
    pub fn operators(&self) -> String {
        self.of.measure.operators(self.kind)
    }
}

impl Segments {
    /// Those of an index; None if it has no definition, or one that is damaged.
    pub fn of(state: &State, uuid: &str) -> Option<Self> {
        let definition = state.definitions.get(&(VECTOR_INDEX.to_owned(), uuid.to_owned()))?;
        serde_json::from_value(definition.body.clone()).ok()
    }

    /// The files that are covered.
    pub fn files(&self) -> impl Iterator<Item = FileId> + '_ {
        self.segments.iter().flat_map(|segment| segment.files.iter().map(|covered| covered.file))
    }

    /// Live rows that no segment covers.
    pub fn pending(&self, rows: &TableRows) -> u64 {
        let covered: HashSet<_> = self.files().collect();
        let is_covered = |file: &&Arc<DataFile>| covered.contains(&file.id);
        let covered = rows.files.iter().filter(is_covered).map(|file| file.live());
        rows.count() - covered.sum::<u64>()
    }

    /// Rows that searches can find.
    pub fn indexed(&self) -> u64 {
        self.segments.iter().map(|segment| segment.indexed).sum()
    }
}

impl SegmentFile {
    /// Row numbers that it has given.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|covered| covered.rows).sum()
    }

    /// The covered files with the number of each one's first row.
    pub fn numbered(&self) -> impl Iterator<Item = (Covered, u64)> + '_ {
        let mut first = 0;
        self.files.iter().map(move |covered| {
            let own = first;
            first += covered.rows;
            (*covered, own)
        })
    }
}

/// The vector indexes of a table, as a state has them.
pub fn of_table(lake: &Arc<Lake>, state: &State, table: &Table) -> Vec<TableIndex> {
    let of = |constraint: &Constraint| {
        let Constraint::Index(Index { name, vectors: Some(of), keys, included, .. }) = constraint
        else {
            return None;
        };
        let place = |id: i64| table.columns.iter().position(|column| column.id == id);
        let column = place(keys.first()?.column)?;
        let included = included.iter().filter_map(|id| place(*id)).collect();
        let vectors = VectorType::of(table.columns[column].field.data_type())?;
        let (dimension, kind) = (vectors.dimension?, vectors.kind);
        let segments = Arc::new(Segments::of(state, &of.uuid)?);
        let (name, of, lake) = (name.clone(), of.clone(), Arc::clone(lake));
        Some(TableIndex { name, of, column, included, dimension, kind, segments, lake })
    };
    table.constraints.iter().filter_map(of).collect()
}

/// How many rows to take of a search whose order is a little wrong, for the right k to be there.
pub fn candidates(k: usize) -> usize {
    k + k / 8 + 8
}

/// Paths of the objects that a definition's body names.
pub(crate) fn paths(body: &str) -> Vec<String> {
    let segments = serde_json::from_str::<Segments>(body).map(|of| of.segments);
    segments.unwrap_or_default().into_iter().map(|segment| segment.path).collect()
}

/// Forgets the segments of indexes that a table no longer has.
pub(crate) fn forget(state: &mut State, table: &str, kept: &[Constraint]) {
    let is_kept = |uuid: &str| {
        kept.iter().any(|constraint| {
            matches!(constraint, Constraint::Index(Index { vectors: Some(of), .. })
                if of.uuid == uuid)
        })
    };
    state.definitions.retain(|(kind, name), definition| {
        kind != VECTOR_INDEX || definition.body["table"].as_str() != Some(table) || is_kept(name)
    });
}
