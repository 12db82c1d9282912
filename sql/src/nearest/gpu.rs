//! The server's GPU, and the vectors that exact searches have there.
//!
//! ```text
//!   segment's object ──▶ rows in memory, as floats ──▶ column on the device, as half floats
//! ```
//!
//! It is opened by the first exact search that may use it, once: what was found then, or was not,
//! holds until the server ends. The device finds which rows may be the nearest, and their distances
//! are computed here, so both have the vectors of a segment that is searched. They come and go
//! together, the one used longest ago first, and an index that has no room as a whole has none.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use catalog::Lake;
use catalog::indexes::{Segment, SegmentFile, TableIndex};
use datafusion::prelude::SessionConfig;
use futures::{StreamExt, TryStreamExt, stream};
use kernels::cuda::{Device, Options, Search, Unavailable, column_bytes};
use kernels::simd::level::Level;
use kernels::vectors::{Bitmap, Metric, Neighbour, Rows, Visible};
use tokio::sync::OnceCell;

use super::exec::Failed;
use super::searches::{Processor, Searches};

/// Bytes of vectors that are read at once, and how many such requests there are at a time.
const CHUNK_BYTES: usize = 4 << 20;
const REQUESTS: usize = 4;

/// See the module. Operators find it in the session's configuration.
#[derive(Debug)]
pub struct Gpu {
    options: Options,
    opened: OnceLock<Result<Device, Unavailable>>,
    columns: Mutex<Columns>,
}

/// What to look for in a segment.
pub(super) struct Asked {
    pub metric: Metric,
    /// One after the other.
    pub queries: Vec<f32>,
    pub k: usize,
    pub filter: Option<Bitmap>,
    pub deleted: Option<Bitmap>,
}

/// The segments that have room, by the paths of their objects.
#[derive(Debug, Default)]
struct Columns {
    held: HashMap<String, Column>,
    /// Counts uses; and names columns, so that a name never stands for other rows.
    clock: u64,
    /// Names of columns that the device is still to let go of.
    gone: Vec<u64>,
}

#[derive(Debug)]
struct Column {
    name: u64,
    bytes: usize,
    vectors: Arc<OnceCell<Vectors>>,
    used: u64,
}

/// All rows of a segment.
#[derive(Debug)]
struct Vectors {
    chunks: Vec<Vec<f32>>,
    dimension: usize,
    /// Those that have a vector; None if all have.
    there: Option<Bitmap>,
}

impl Gpu {
    /// One that may take so many bytes of the device, and twice as many of the host. Compiled
    /// kernels are kept in a folder, if there is one.
    pub fn new(kernels: Option<PathBuf>, most_bytes: usize, threads: usize) -> Self {
        Self {
            options: Options { cubins: kernels, most_bytes, threads },
            opened: OnceLock::new(),
            columns: Mutex::default(),
        }
    }

    /// The device, opened by whoever asks first. It blocks.
    fn device(&self) -> Result<&Device, Unavailable> {
        let open = || {
            let opened = Device::open(self.options.clone());
            match &opened {
                Ok(device) => tracing::info!("exact searches of indexes use {}", device.name()),
                Err(error) => tracing::info!("exact searches of indexes use no GPU: {error}"),
            }
            opened
        };
        self.opened.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// The device's name, if it has room for an index.
    async fn ready(self: &Arc<Self>, index: &TableIndex) -> Result<String, Unavailable> {
        let name = |device: &Device| device.name().to_owned();
        let name = match self.opened.get() {
            Some(opened) => opened.as_ref().map(name).map_err(Clone::clone)?,
            None => {
                let gpu = Arc::clone(self);
                apart(move || gpu.device().map(name)).await?
            }
        };
        let bytes = |file: &SegmentFile| column_bytes(file.rows() as usize, index.dimension);
        let bytes = index.segments.segments.iter().map(bytes).fold(0, usize::saturating_add);
        if bytes > self.options.most_bytes {
            let (bytes, most) = (bytes.div_ceil(1 << 20), self.options.most_bytes >> 20);
            let reason = format!("{bytes} MB of vectors are over the limit of {most} MB for a GPU");
            return Err(Unavailable::new(reason));
        }
        Ok(name)
    }

    /// The exact nearest rows to each query, as the CPU has them; keys are row numbers.
    pub(super) async fn nearest(
        self: &Arc<Self>,
        of: (&Lake, &Segment),
        asked: Asked,
    ) -> Result<Vec<Vec<Neighbour>>, Failed> {
        let (name, vectors) = self.vectors(of).await.map_err(Failed::Catalog)?;
        let gpu = Arc::clone(self);
        let found = apart(move || {
            let vectors = vectors.get().ok_or_else(lost)?;
            let filter = match (asked.filter, &vectors.there) {
                (Some(filter), Some(there)) => Some(filter.and(there)),
                (filter, there) => filter.or_else(|| there.clone()),
            };
            if filter.as_ref().is_some_and(|filter| filter.ones() == 0) {
                return Ok(vec![Vec::new(); asked.queries.len() / vectors.dimension.max(1)]);
            }
            let visible = Visible { filter: filter.as_ref(), deleted: asked.deleted.as_ref() };
            let with = |device: &Device, search: &Search<'_>| {
                device.nearest(search, &asked.queries, asked.k)
            };
            gpu.over((name, vectors), (asked.metric, visible), with)
        });
        found.await.map_err(Failed::Device)
    }

    /// Brings a segment to the device.
    pub(super) async fn hold(
        self: &Arc<Self>,
        of: (&Lake, &Segment),
        metric: Metric,
    ) -> Result<(), Failed> {
        let (name, vectors) = self.vectors(of).await.map_err(Failed::Catalog)?;
        let gpu = Arc::clone(self);
        let held = apart(move || {
            let vectors = vectors.get().ok_or_else(lost)?;
            gpu.over((name, vectors), (metric, Visible::default()), Device::hold)
        });
        held.await.map_err(Failed::Device)
    }

    /// Work with the device over the rows of a segment. It blocks.
    fn over<T>(
        &self,
        (segment, vectors): (u64, &Vectors),
        (metric, visible): (Metric, Visible<'_>),
        work: impl FnOnce(&Device, &Search<'_>) -> Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        let device = self.device()?;
        let gone = std::mem::take(&mut self.columns().gone);
        gone.into_iter().for_each(|name| device.release(name));
        let chunks = vectors.chunks.iter();
        let chunks = chunks.filter_map(|chunk| Rows::single(chunk, vectors.dimension).ok());
        let chunks: Vec<Rows<'_>> = chunks.collect();
        let level = Level::best();
        let chunks = chunks.as_slice();
        work(device, &Search { level, metric, segment, chunks, visible, first_key: 0 })
    }

    fn columns(&self) -> MutexGuard<'_, Columns> {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of a segment's column and its rows, which are read unless they are here.
    async fn vectors(
        &self,
        (lake, segment): (&Lake, &Segment),
    ) -> Result<(u64, Arc<OnceCell<Vectors>>), catalog::Error> {
        let dimension = segment.head().model().options().dimension;
        let bytes = column_bytes(segment.file().rows() as usize, dimension);
        let most = self.options.most_bytes;
        let (name, vectors) = self.columns().room(&segment.file().path, bytes, most);
        vectors.get_or_try_init(|| Vectors::read(lake, segment, dimension)).await?;
        Ok((name, vectors))
    }
}

impl Columns {
    /// The place of a segment, for which others go.
    fn room(&mut self, path: &str, bytes: usize, most: usize) -> (u64, Arc<OnceCell<Vectors>>) {
        self.clock += 1;
        if let Some(column) = self.held.get_mut(path) {
            column.used = self.clock;
            return (column.name, Arc::clone(&column.vectors));
        }
        let total = |held: &HashMap<String, Column>| held.values().map(|c| c.bytes).sum::<usize>();
        while total(&self.held) + bytes > most {
            let oldest = self.held.iter().min_by_key(|(_, column)| column.used);
            let Some(path) = oldest.map(|(path, _)| path.clone()) else { break };
            self.gone.extend(self.held.remove(&path).map(|column| column.name));
        }
        let (name, vectors) = (self.clock, Arc::default());
        let column = Column { name, bytes, vectors: Arc::clone(&vectors), used: self.clock };
        self.held.insert(path.to_owned(), column);
        (name, vectors)
    }
}

impl Vectors {
    /// Every row is checked as it comes.
    async fn read(
        lake: &Lake,
        segment: &Segment,
        dimension: usize,
    ) -> Result<Self, catalog::Error> {
        let rows = segment.file().rows();
        let step = (CHUNK_BYTES / (dimension * size_of::<f32>()).max(1)).max(1);
        let starts = (0..rows).step_by(step);
        let read = starts.map(|start| segment.rows(lake, start..rows.min(start + step as u64)));
        let mut read = stream::iter(read).buffered(REQUESTS);
        let (mut chunks, mut there) = (Vec::new(), Bitmap::new(rows as usize));
        let mut first = 0;
        while let Some((mut chunk, have)) = read.try_next().await? {
            for (row, vector) in (0..).zip(chunk.chunks_exact_mut(dimension)) {
                match have.contains(row) {
                    true => there.insert(first + row),
                    // Nobody sees it; as zeros it would be one of the few that the device leaves
                    // to the host.
                    false => vector[0] = 1.0,
                }
            }
            first += (chunk.len() / dimension) as u32;
            chunks.push(chunk);
        }
        let there = (there.ones() < rows as usize).then_some(there);
        Ok(Self { chunks, dimension, there })
    }
}

/// The GPU with its name, if the settings want one and it has room for an index.
pub(super) async fn offered(
    config: &SessionConfig,
    index: &TableIndex,
) -> Result<(Arc<Gpu>, String), Unavailable> {
    let searches = config.get_extension::<Searches>();
    let wanted = searches.map(|searches| searches.wanted()).unwrap_or_default();
    if wanted.processor == Processor::Cpu {
        return Err(Unavailable::new("sextant.device is cpu"));
    }
    let gpu = config.get_extension::<Gpu>();
    let gpu = gpu.ok_or_else(|| Unavailable::new("there is no server to open one"))?;
    let name = gpu.ready(index).await?;
    Ok((gpu, name))
}

fn lost() -> Unavailable {
    Unavailable::new("the vectors are not in memory")
}

/// Work that blocks, beside the runtime.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
) -> Result<T, Unavailable> {
    let done = catalog::apart(move |_| work()).await;
    done.unwrap_or_else(|error| Err(Unavailable::new(format!("the search ended: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_column_makes_room() {
        let mut columns = Columns::default();
        let name = |columns: &mut Columns, path| columns.room(path, 40, 100).0;
        let (a, b) = (name(&mut columns, "a"), name(&mut columns, "b"));
        assert_eq!(name(&mut columns, "a"), a);
        let c = name(&mut columns, "c");
        assert_eq!(columns.gone, [b]);
        // What went has another name when it comes again.
        let again = name(&mut columns, "b");
        assert!(![a, b, c].contains(&again));
        assert_eq!(columns.gone, [b, a]);
        assert_eq!(columns.held.len(), 2);
    }
}
