//! Pages of files that point reads have decoded, kept while there is room for them. A file never
//! changes, so that what is kept of it is never stale.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Bytes of decoded pages that are kept, of all lakes of the process, unless it says otherwise.
const PAGE_BYTES: u64 = 128 << 20;
/// Bytes of the layouts of files that are kept.
const LAYOUT_BYTES: u64 = 32 << 20;
/// Bytes of an average layout.
const USUAL_LAYOUT: u64 = 32 << 10;
/// Bytes of an average page, for the number of pages that the cache makes room for at first.
const USUAL_PAGE: u64 = 64 << 10;

/// A file as point reads know it.
#[derive(Debug)]
pub(super) struct Opened {
    /// What its pages are kept under.
    pub number: u64,
    pub metadata: ArrowReaderMetadata,
    /// Of each column its first leaf.
    pub leaves: Vec<usize>,
}

impl Opened {
    pub fn new(metadata: ArrowReaderMetadata) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let parquet = metadata.parquet_schema();
        let mut leaves = Vec::new();
        for leaf in 0..parquet.num_columns() {
            if parquet.get_column_root_idx(leaf) == leaves.len() {
                leaves.push(leaf);
            }
        }
        Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), metadata, leaves }
    }
}

/// A page: number of the file, row group, column, page.
pub(super) type PageKey = (u64, u32, u32, u32);

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<PageKey, ArrayRef> for Bytes {
    fn weight(&self, _: &PageKey, page: &ArrayRef) -> u64 {
        page.get_array_memory_size() as u64 + size_of::<PageKey>() as u64
    }
}

impl Weighter<FileKey, Arc<Opened>> for Bytes {
    fn weight(&self, _: &FileKey, file: &Arc<Opened>) -> u64 {
        file.metadata.metadata().memory_size() as u64 + size_of::<Opened>() as u64
    }
}

/// A lake, and the path and size of a file in it.
pub(super) type FileKey = (ObjectStoreUrl, String, u64);

static PAGES: LazyLock<Cache<PageKey, ArrayRef, Bytes>> =
    LazyLock::new(|| Cache::with_weighter((PAGE_BYTES / USUAL_PAGE) as usize, PAGE_BYTES, Bytes));
static OPENED: LazyLock<Cache<FileKey, Arc<Opened>, Bytes>> = LazyLock::new(|| {
    Cache::with_weighter((LAYOUT_BYTES / USUAL_LAYOUT) as usize, LAYOUT_BYTES, Bytes)
});

/// How many bytes of decoded pages are kept, of all lakes of the process.
pub fn keep_pages(bytes: u64) {
    PAGES.set_capacity(bytes);
}

/// The page, if it is kept.
pub(super) fn page(key: &PageKey) -> Option<ArrayRef> {
    PAGES.get(key)
}

/// Keeps a page.
pub(super) fn keep_page(key: PageKey, page: ArrayRef) {
    PAGES.insert(key, page);
}

/// The file, if its layout is kept.
pub(super) fn opened(key: &FileKey) -> Option<Arc<Opened>> {
    OPENED.get(key)
}

/// Keeps the layout of a file.
pub(super) fn keep_opened(key: FileKey, file: Arc<Opened>) {
    OPENED.insert(key, file);
}
