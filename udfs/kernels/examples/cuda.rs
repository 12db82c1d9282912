//! Checks the search on a GPU against the CPU and measures it; needs nothing but this binary.
//!
//! ```text
//!   cargo run --release -p kernels --example cuda -- \
//!       [k=100] [rows=10000000] [cubins=FOLDER] [check]
//! ```
//!
//! First 1,000,000 rows of 128 and of 256 dimensions: every row and distance against the CPU's, to
//! the bit. Then, unless `check` is given, a table for these and for `rows` rows of 256 dimensions:
//! milliseconds from the call to the answer, distances on the host included, and what part that is
//! of the card's limit. The limit is the greater of two times: to read the half floats once at the
//! bandwidth, and to multiply at the rate of the tensor cores.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Instant;

use kernels::cuda::{Device, Options, Search};
use kernels::parallel;
use kernels::simd::level::Level;
use kernels::vectors::{Bitmap, Metric, Rows, Scan, Visible, nearest_to_each};

/// Rows of a chunk, which are made by one thread.
const CHUNK: usize = 100_000;
const BATCHES: [usize; 5] = [1, 8, 16, 256, 1024];
/// By name: GB/s and TFLOP/s of half floats, from NVIDIA's data sheets.
const CARDS: [(&str, f64, f64); 6] = [
    ("H200", 4800.0, 989.0),
    ("H100 PCIe", 2039.0, 756.0),
    ("H100", 3350.0, 989.0),
    ("A100 80GB", 2039.0, 312.0),
    ("A100", 1555.0, 312.0),
    ("L40S", 864.0, 362.0),
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Sums of four uniform numbers, near enough to normal ones, from a seed.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..4).map(|_| uniform()).sum()).collect()
}

struct Table {
    dimension: usize,
    rows: usize,
    chunks: Vec<Vec<f32>>,
}

impl Table {
    fn new(rows: usize, dimension: usize, threads: usize) -> Result<Self> {
        let chunk = |number: usize| {
            let count = (rows - number * CHUNK).min(CHUNK);
            Some(numbers(count * dimension, (dimension * 1_000_000 + number) as u64))
        };
        let chunks = parallel::map(threads, rows.div_ceil(CHUNK), chunk);
        Ok(Self { dimension, rows, chunks: chunks.ok_or("no rows were made")? })
    }

    fn chunks(&self) -> Result<Vec<Rows<'_>>> {
        let each = self.chunks.iter().map(|all| Rows::single(all, self.dimension));
        Ok(each.collect::<std::result::Result<_, _>>()?)
    }
}

struct Settings {
    k: usize,
    rows: usize,
    cubins: Option<PathBuf>,
    only_check: bool,
    threads: usize,
}

fn settings() -> Result<Settings> {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut settings =
        Settings { k: 100, rows: 10_000_000, cubins: None, only_check: false, threads };
    for argument in env::args().skip(1) {
        match argument.split_once('=') {
            Some(("k", value)) => settings.k = value.parse()?,
            Some(("rows", value)) => settings.rows = value.parse()?,
            Some(("cubins", value)) => settings.cubins = Some(value.into()),
            _ if argument == "check" => settings.only_check = true,
            _ => return Err(format!("unknown argument {argument}").into()),
        }
    }
    Ok(settings)
}

fn main() -> Result<()> {
    let settings = settings()?;
    let Settings { cubins, threads, .. } = &settings;
    let options = Options { cubins: cubins.clone(), most_bytes: usize::MAX, threads: *threads };
    let device = match Device::open(options) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("no GPU to measure: {error}");
            std::process::exit(2);
        }
    };
    println!("{}, {threads} threads, k = {}", device.name(), settings.k);
    let mut tables = vec![(1_000_000, 128), (1_000_000, 256)];
    if !settings.only_check && settings.rows > 0 {
        tables.push((settings.rows, 256));
    }
    for (segment, (rows, dimension)) in tables.into_iter().enumerate() {
        let table = Table::new(rows, dimension, *threads)?;
        let chunks = table.chunks()?;
        let search = Search {
            level: Level::best(),
            metric: Metric::InnerProduct,
            segment: segment as u64,
            chunks: &chunks,
            visible: Visible::default(),
            first_key: 0,
        };
        let start = Instant::now();
        if let Err(error) = device.hold(&search) {
            println!("{rows} x {dimension}: left out: {error}");
            continue;
        }
        println!("{rows} x {dimension}: uploaded in {:.2} s", start.elapsed().as_secs_f64());
        if segment < 2 {
            check(&device, &search, &table, &settings)?;
        }
        if !settings.only_check {
            measure(&device, &search, &table, &settings)?;
        }
        device.release(segment as u64);
    }
    Ok(())
}

/// Each metric, with few queries and with many, with and without a filter.
fn check(device: &Device, search: &Search<'_>, table: &Table, settings: &Settings) -> Result<()> {
    let filter: Bitmap = (0..table.rows as u32).filter(|row| row % 10 == 3).collect();
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        for (count, filter) in [(3, None), (3, Some(&filter)), (20, None), (20, Some(&filter))] {
            let visible = Visible { filter, deleted: None };
            let search = Search { metric, visible, ..*search };
            let queries = numbers(count * table.dimension, 99);
            let found = device.nearest(&search, &queries, settings.k)?;
            let expected = on_the_cpu(&search, table, &queries, settings)?;
            if found != expected {
                return Err(format!("{metric:?} of {count} queries differs from the CPU").into());
            }
        }
    }
    println!("{} x {}: rows and distances are the CPU's", table.rows, table.dimension);
    Ok(())
}

fn on_the_cpu(
    search: &Search<'_>,
    table: &Table,
    queries: &[f32],
    settings: &Settings,
) -> Result<Vec<Vec<kernels::vectors::Neighbour>>> {
    // One matrix, so that filters count as they do for the device.
    let all = table.chunks.concat();
    let rows = Rows::single(&all, table.dimension)?;
    let Search { level, metric, visible, first_key, .. } = *search;
    let scan = Scan { level, metric, rows, visible, first_key };
    let one = |number: usize| {
        let query = &queries[number * table.dimension..(number + 1) * table.dimension];
        nearest_to_each(&scan, query, settings.k).ok()?.pop()
    };
    let found = parallel::map(settings.threads, queries.len() / table.dimension, one);
    found.ok_or_else(|| "the CPU did not answer".into())
}

fn measure(device: &Device, search: &Search<'_>, table: &Table, settings: &Settings) -> Result<()> {
    let card = CARDS.iter().find(|(name, ..)| device.name().contains(name));
    println!("| batch | ms, median | least | GB/s | TFLOP/s | of the limit | queries/s |");
    println!("|---|---|---|---|---|---|---|");
    for batch in BATCHES {
        let queries = numbers(batch * table.dimension, 1000 + batch as u64);
        let runs = if batch > 100 { 7 } else { 21 };
        let mut times = Vec::with_capacity(runs);
        // The first one compiles what was not needed before, and is left out.
        for run in 0..=runs {
            let start = Instant::now();
            device.nearest(search, &queries, settings.k)?;
            if run > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
        times.sort_by(f64::total_cmp);
        let (median, least) = (times[runs / 2], times[0]);
        let bytes = (table.rows * table.dimension.next_multiple_of(8) * 2) as f64;
        let operations = bytes * batch as f64;
        let limit = card.map(|(_, bandwidth, rate)| {
            (bytes / (bandwidth * 1e9)).max(operations / (rate * 1e12)) / median * 100.0
        });
        let limit = limit.map_or("unknown card".to_owned(), |part| format!("{part:.0} %"));
        println!(
            "| {batch} | {:.3} | {:.3} | {:.0} | {:.1} | {limit} | {:.0} |",
            median * 1e3,
            least * 1e3,
            bytes / median / 1e9,
            operations / median / 1e12,
            batch as f64 / median
        );
    }
    Ok(())
}
