//! Measures the index on vectors from files; `benches/peers/ann.py` makes them and asks the peers.
//!
//! ```text
//!   cargo run --release -p kernels --example ann -- ROWS QUERIES TRUTH DIMENSION METRIC THREADS \
//!       [lists=N] [grouping=even] [refine=half] [segment=FILE] [targets=0.95,0.99] [k=10] \
//!       [filters] [batch] [exact]
//! ```
//!
//! ROWS and QUERIES are `f32`, TRUTH holds the numbers of each query's nearest rows as `u32`, all
//! raw and little-endian. Each line of the output is one JSON object. Recall is by distance: a row
//! as near as the last true one counts, as ties would otherwise.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use kernels::ann::{
    Builder, Effort, Grouping, Model, Options, Query, Refine, Report, Sample, Scratch, Segment,
    Work, calibrate, search, search_batch,
};
use kernels::simd::level::Level;
use kernels::vectors::{
    Bitmap, Metric, Neighbour, Rows, Scan, Visible, distance, nearest, nearest_to_each,
};

/// Numbers of nearest rows that the truth has for each query; `k=` may ask for fewer.
const K: usize = 100;
const TARGETS: [f32; 10] = [0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995];
/// Rows that are handed to the builder at once, as row groups would be.
const CHUNK: usize = 65_536;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Input {
    rows: Vec<f32>,
    queries: Vec<f32>,
    truth: Vec<u32>,
    dimension: usize,
    metric: Metric,
    work: Work<'static>,
    options: Options,
    words: Vec<String>,
    k: usize,
}

fn main() -> Result<()> {
    let input = Input::read()?;
    let rows = Rows::single(&input.rows, input.dimension)?;
    let segment = segment(&input, rows)?;
    for (name, vectors) in [("second look", None), ("exact last", Some(rows))] {
        for target in input.targets()? {
            one_by_one(&input, &segment, Effort::Recall(target), (name, vectors))?;
        }
    }
    if input.has("batch") {
        batch(&input, &segment)?;
    }
    if input.has("filters") {
        for one_in in [2, 10, 100, 1000, 10_000] {
            filtered(&input, &segment, rows, one_in)?;
        }
    }
    if input.has("exact") {
        exact(&input, rows)?;
    }
    Ok(())
}

/// Built, or read from the file of `segment=`; built and written there when there is none.
fn segment(input: &Input, rows: Rows<'_>) -> Result<Segment> {
    let Some(path) = input.value("segment") else { return build(input, rows) };
    if let Ok(bytes) = fs::read(path) {
        return Ok(Segment::open(&bytes)?);
    }
    let segment = build(input, rows)?;
    fs::write(path, segment.to_bytes())?;
    Ok(segment)
}

impl Input {
    fn read() -> Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [rows, queries, truth, dimension, metric, threads, ..] = &words[..] else {
            return Err("ROWS QUERIES TRUTH DIMENSION METRIC THREADS".into());
        };
        let metric = match metric.as_str() {
            "l2" => Metric::L2,
            "ip" => Metric::InnerProduct,
            "cosine" => Metric::Cosine,
            other => return Err(format!("no metric {other}").into()),
        };
        let dimension = dimension.parse()?;
        let mut options = Options::new(metric, dimension);
        let mut k = K;
        for word in &words[6..] {
            match word.split_once('=') {
                Some(("lists", count)) => options.lists = Some(count.parse()?),
                Some(("grouping", "even")) => options.grouping = Some(Grouping::Even),
                Some(("grouping", "variance")) => {
                    options.grouping = Some(Grouping::ByVariance);
                }
                Some(("refine", "half")) => options.refine = Refine::Half,
                Some(("k", number)) => k = number.parse::<usize>()?.clamp(1, K),
                Some(("segment" | "targets", _)) => {}
                Some(_) => return Err(format!("no option {word}").into()),
                None => {}
            }
        }
        Ok(Self {
            rows: floats(rows)?,
            queries: floats(queries)?,
            truth: self::words(truth, u32::from_le_bytes)?,
            dimension,
            metric,
            work: Work { threads: threads.parse()?, ..Work::alone() },
            options,
            words,
            k,
        })
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|given| given == word)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let words = self.words.iter().filter_map(|word| word.split_once('='));
        words.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn targets(&self) -> Result<Vec<f32>> {
        let Some(given) = self.value("targets") else { return Ok(TARGETS.to_vec()) };
        Ok(given.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?)
    }

    fn queries(&self) -> impl Iterator<Item = &[f32]> {
        self.queries.chunks_exact(self.dimension)
    }

    /// The distance of the last true neighbour of a query.
    fn last(&self, number: usize, query: &[f32]) -> Result<f32> {
        let row = self.truth[number * K + self.k - 1] as usize * self.dimension;
        let row = &self.rows[row..row + self.dimension];
        Ok(distance(self.work.level, self.metric, query, row)?)
    }

    fn row(&self, key: u64) -> &[f32] {
        &self.rows[key as usize * self.dimension..][..self.dimension]
    }

    /// How many of the found are no farther than the last true one.
    fn hits(&self, query: &[f32], last: f32, found: &[Neighbour]) -> Result<usize> {
        let mut hits = 0;
        for neighbour in found {
            let exact = distance(self.work.level, self.metric, query, self.row(neighbour.key))?;
            hits += usize::from(exact <= last);
        }
        Ok(hits.min(self.k))
    }
}

fn words<T>(path: &str, word: fn([u8; 4]) -> T) -> Result<Vec<T>> {
    let bytes = fs::read(path)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| word(*bytes)).collect())
}

fn floats(path: &str) -> Result<Vec<f32>> {
    words(path, f32::from_le_bytes)
}

fn build(input: &Input, rows: Rows<'_>) -> Result<Segment> {
    let start = Instant::now();
    let mut sample = Sample::new(input.options.sample_for(rows.len()), 1);
    sample.push(rows);
    let sample = Rows::single(sample.rows(), input.dimension)?;
    let model = Model::train(input.options, sample, rows.len(), &input.work)?;
    let trained = start.elapsed();
    let mut builder = Builder::new(Arc::new(model));
    for first in (0..rows.len()).step_by(CHUNK) {
        let chunk = rows.slice(first..first + CHUNK);
        let numbers: Vec<u32> = (first as u32..(first + chunk.len()) as u32).collect();
        builder.push(chunk, &numbers, &input.work)?;
    }
    let mut segment = builder.finish();
    let built = start.elapsed();
    segment.set_calibration(calibrate(&segment, None, &input.work)?);
    let all = start.elapsed();
    let bytes = segment.bytes() as f64 / rows.len() as f64;
    println!(
        "{{\"what\": \"build\", \"level\": \"{}\", \"lists\": {}, \"train_s\": {:.2}, \
         \"encode_s\": {:.2}, \"calibrate_s\": {:.2}, \"build_s\": {:.2}, \
         \"bytes_per_vector\": {bytes:.0}}}",
        Level::best().name(),
        segment.head().model().lists(),
        trained.as_secs_f64(),
        (built - trained).as_secs_f64(),
        (all - built).as_secs_f64(),
        all.as_secs_f64(),
    );
    if input.has("curves") {
        println!("{{\"what\": \"curves\", \"text\": \"{:?}\"}}", segment.head().calibration());
    }
    Ok(segment)
}

/// Microseconds that this thread had a processor, which other work on the machine does not add to;
/// zero where the system does not tell.
fn processor_us() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e3
}

/// Times in microseconds, sorted, and the share of true neighbours found.
struct Measured {
    times: Vec<f64>,
    processor_us: f64,
    recall: f64,
    report: Report,
}

impl Measured {
    fn print(&mut self, what: &str, more: &str) {
        self.times.sort_by(f64::total_cmp);
        let at = |share: f64| self.times[((self.times.len() - 1) as f64 * share) as usize];
        let count = self.times.len();
        println!(
            "{{\"what\": \"{what}\", {more} \"recall\": {:.4}, \"p50_us\": {:.1}, \
             \"p99_us\": {:.1}, \"mean_us\": {:.1}, \"processor_us\": {:.1}, \"lists\": {}, \"scanned\": {}, \
             \"refined\": {}}}",
            self.recall,
            at(0.5),
            at(0.99),
            self.times.iter().sum::<f64>() / count as f64,
            self.processor_us / count as f64,
            self.report.lists / count,
            self.report.scanned / count,
            self.report.refined / count,
        );
    }
}

fn measure(
    input: &Input,
    mut truth: impl FnMut(usize, &[f32]) -> Result<(f32, usize)>,
    mut ask: impl FnMut(&[f32]) -> Result<(Vec<Neighbour>, Report)>,
) -> Result<Measured> {
    let (mut times, mut hits, mut total) = (Vec::new(), 0, 0);
    let (mut sum, mut all) = (Report::default(), Vec::new());
    // The truth comes after: a scan between two queries would empty the caches.
    let before = processor_us();
    for query in input.queries() {
        let start = Instant::now();
        let (found, report) = ask(query)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        all.push((found, report));
    }
    let processor_us = processor_us() - before;
    for (number, (query, (found, report))) in input.queries().zip(all).enumerate() {
        let (last, count) = truth(number, query)?;
        hits += input.hits(query, last, &found)?.min(count);
        total += count;
        sum.lists += report.lists;
        sum.scanned += report.scanned;
        sum.refined += report.refined;
    }
    Ok(Measured { times, processor_us, recall: hits as f64 / total.max(1) as f64, report: sum })
}

fn one_by_one(
    input: &Input,
    segment: &Segment,
    effort: Effort,
    (name, vectors): (&str, Option<Rows<'_>>),
) -> Result<()> {
    let mut scratch = Scratch::default();
    let visible = Visible::default();
    let mut ask = |vector: &[f32]| {
        let query = Query { vector, k: input.k, effort, visible, vectors };
        let found = search(segment.head(), segment, input.work.level, &query, &mut scratch)?;
        Ok((found.neighbours, found.report))
    };
    let mut measured = measure(input, |i, q| Ok((input.last(i, q)?, input.k)), &mut ask)?;
    let (reach, margin) = segment.head().knobs(effort, input.k)?;
    let target = if let Effort::Recall(target) = effort { target } else { 1.0 };
    let more = format!(
        "\"order\": \"{name}\", \"target\": {target}, \"reach\": {reach:.2}, \
         \"margin\": {margin:.2},"
    );
    measured.print("query", &more);
    Ok(())
}

fn batch(input: &Input, segment: &Segment) -> Result<()> {
    let (effort, visible) = (Effort::Recall(0.95), Visible::default());
    let one = |vector| Query { vector, k: input.k, effort, visible, vectors: None };
    let queries: Vec<Query<'_>> = input.queries().map(one).collect();
    for threads in [1, input.work.threads.max(2)] {
        let work = Work { threads, ..input.work };
        let (start, before) = (Instant::now(), processor_us());
        let found = search_batch(segment.head(), segment, &work, &queries)?;
        let each = start.elapsed().as_secs_f64() * 1e6 / found.len() as f64;
        // Of this thread only.
        let processor = (processor_us() - before) / found.len() as f64;
        println!(
            "{{\"what\": \"batch\", \"threads\": {threads}, \"queries\": {}, \
             \"us_per_query\": {each:.1}, \"processor_us\": {processor:.1}}}",
            found.len()
        );
    }
    Ok(())
}

fn filtered(input: &Input, segment: &Segment, rows: Rows<'_>, one_in: u32) -> Result<()> {
    let hash = |row: u32| row.wrapping_mul(2_654_435_761) >> 7;
    let filter: Bitmap = (0..rows.len() as u32).filter(|row| hash(*row) % one_in == 0).collect();
    let visible = Visible { filter: Some(&filter), deleted: None };
    let mut scratch = Scratch::default();
    let effort = Effort::Recall(0.95);
    let mut ask = |vector: &[f32]| {
        let query = Query { vector, k: input.k, effort, visible, vectors: None };
        let found = search(segment.head(), segment, input.work.level, &query, &mut scratch)?;
        Ok((found.neighbours, found.report))
    };
    let (level, metric) = (input.work.level, input.metric);
    let scan = Scan { level, metric, rows, visible, first_key: 0 };
    let truth = |_: usize, query: &[f32]| {
        let truth = nearest(&scan, query, input.k)?;
        Ok((truth.last().map_or(0.0, |n| n.distance), truth.len()))
    };
    let mut measured = measure(input, truth, &mut ask)?;
    measured.print("filter", &format!("\"one_in\": {one_in}, \"matching\": {},", filter.ones()));
    Ok(())
}

fn exact(input: &Input, rows: Rows<'_>) -> Result<()> {
    let (level, metric, visible) = (input.work.level, input.metric, Visible::default());
    let scan = Scan { level, metric, rows, visible, first_key: 0 };
    let mut times: Vec<f64> = Vec::new();
    for query in input.queries().take(20) {
        let start = Instant::now();
        nearest(&scan, query, input.k)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let many = &input.queries[..input.queries.len().min(64 * input.dimension)];
    let start = Instant::now();
    let joined = nearest_to_each(&scan, many, input.k)?.len();
    let each = start.elapsed().as_secs_f64() * 1e6 / joined.max(1) as f64;
    println!(
        "{{\"what\": \"exact\", \"p50_us\": {:.0}, \"join_us_per_query\": {each:.0}}}",
        times[times.len() / 2]
    );
    Ok(())
}
