//! The other end of `emulator.cpp`: compiled once for a run of the tests, a process for each test.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kernels::cuda::{Device, Job, Kernel, Launch, Machine, Options, Product, Unavailable};

/// What tests watch and decide.
#[derive(Debug, Default)]
pub struct Controls {
    /// Bytes that may be allocated; zero: any.
    pub memory: AtomicUsize,
    /// The launch that fails, counted down; zero: none.
    pub failing_launch: AtomicUsize,
    pub no_products: AtomicBool,
    pub launches: AtomicUsize,
    pub products: AtomicUsize,
    /// Bytes that were written, columns among them.
    pub written: AtomicUsize,
    pub allocated: AtomicUsize,
    /// What was read last: the keys of a search.
    pub last_read: Mutex<Vec<u8>>,
}

pub struct Emulator {
    process: Child,
    to: ChildStdin,
    from: ChildStdout,
    blocks: Vec<(u64, usize)>,
    controls: Arc<Controls>,
}

/// What a source of this folder is compiled to, once for each state of all sources.
pub fn compiled(source: &str, options: &[&str]) -> PathBuf {
    // Tests run in the package's folder, wherever the checkout is that compiled them.
    let kernels = std::env::current_dir().unwrap();
    let here = kernels.join("tests/cuda");
    let mut hash = DefaultHasher::new();
    options.hash(&mut hash);
    let sources =
        ["device.cu", "scan.cu", "select.cu"].map(|name| kernels.join("src/cuda").join(name));
    let shared = ["shim.h", "run.h", source].map(|name| here.join(name));
    for file in sources.iter().chain(&shared) {
        fs::read(file).unwrap().hash(&mut hash);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(format!("{source}-{:016x}", hash.finish()));
    if program.exists() {
        return program;
    }
    // Tests are processes that do this at the same time.
    let own = folder.join(format!("{source}-of-{}", std::process::id()));
    let mut compiler = Command::new(std::env::var("CXX").unwrap_or("c++".to_owned()));
    compiler.args(["-std=c++17", "-O1", "-g", "-w"]).args(options).arg("-o").arg(&own);
    let made = compiler.arg(here.join(source)).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::rename(&own, &program).unwrap();
    program
}

/// With sanitizers, which see what is read or written where nothing is.
fn program() -> PathBuf {
    compiled("emulator.cpp", &["-fsanitize=address,undefined", "-fno-sanitize-recover"])
}

impl Emulator {
    pub fn start(controls: Arc<Controls>) -> Self {
        let mut command = Command::new(program());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0");
        let mut process = command.spawn().unwrap();
        let (to, from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, to, from, blocks: Vec::new(), controls }
    }

    fn say(&mut self, command: u8, numbers: &[u64]) {
        self.to.write_all(&[command]).unwrap();
        numbers.iter().for_each(|number| self.to.write_all(&number.to_le_bytes()).unwrap());
    }

    fn words(&mut self, words: &[u32]) {
        words.iter().for_each(|word| self.to.write_all(&word.to_le_bytes()).unwrap());
    }

    fn hear(&mut self, bytes: &mut [u8]) {
        self.to.flush().unwrap();
        // An end here is a sanitizer's: what it found is on the standard error.
        self.from.read_exact(bytes).expect("the emulator ends: see above");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The words of a job, in the order of its fields.
fn words(job: &Job) -> Vec<u8> {
    let addresses = [
        job.rows,
        job.sizes,
        job.visible,
        job.queries,
        job.terms,
        job.products,
        job.limits,
        job.fresh,
        job.found,
        job.kept,
        job.next,
        job.held,
        job.full,
    ];
    let counts =
        [job.units, job.first, job.end, job.wanted, job.room, job.queries_count, job.stride, 0];
    let addresses = addresses.iter().flat_map(|address| address.to_le_bytes());
    addresses.chain(counts.iter().flat_map(|count| count.to_le_bytes())).collect()
}

impl Machine for Emulator {
    fn name(&self) -> &str {
        "an emulator"
    }

    fn processors(&self) -> u32 {
        2
    }

    fn multiplies(&self) -> bool {
        !self.controls.no_products.load(Ordering::Relaxed)
    }

    fn allocate(&mut self, bytes: usize) -> Result<u64, Unavailable> {
        let most = self.controls.memory.load(Ordering::Relaxed);
        let held = self.controls.allocated.load(Ordering::Relaxed);
        if most > 0 && held + bytes > most {
            return Err(Unavailable::out_of_memory(bytes));
        }
        self.say(b'a', &[bytes as u64]);
        let mut address = [0; 8];
        self.hear(&mut address);
        let address = u64::from_le_bytes(address);
        self.blocks.push((address, bytes));
        self.controls.allocated.fetch_add(bytes, Ordering::Relaxed);
        Ok(address)
    }

    fn free(&mut self, address: u64) {
        let place = self.blocks.iter().position(|(of, _)| *of == address);
        let (_, bytes) = self.blocks.swap_remove(place.expect("nothing is freed twice"));
        self.controls.allocated.fetch_sub(bytes, Ordering::Relaxed);
        self.say(b'f', &[address]);
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Unavailable> {
        self.controls.written.fetch_add(bytes.len(), Ordering::Relaxed);
        self.say(b'w', &[address, bytes.len() as u64]);
        self.to.write_all(bytes).unwrap();
        Ok(())
    }

    fn clear(&mut self, address: u64, bytes: usize) -> Result<(), Unavailable> {
        self.write(address, &vec![0; bytes])
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Unavailable> {
        self.say(b'r', &[address, bytes.len() as u64]);
        self.hear(bytes);
        *self.controls.last_read.lock().unwrap() = bytes.to_vec();
        Ok(())
    }

    fn launch(&mut self, launch: Launch, job: &Job) -> Result<(), Unavailable> {
        self.controls.launches.fetch_add(1, Ordering::Relaxed);
        let failing = &self.controls.failing_launch;
        let left = failing.load(Ordering::Relaxed);
        failing.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            return Err(Unavailable::new("the GPU failed to start a kernel: it is asked to"));
        }
        let (kernel, queries, lanes) = match launch.kernel {
            Kernel::Scan { queries, lanes } => (0, queries, lanes),
            Kernel::Gate => (1, 0, 0),
            Kernel::Select => (2, 0, 0),
        };
        self.say(b'l', &[]);
        let [across, down] = launch.blocks;
        self.words(&[kernel, queries, lanes, across, down, launch.threads, launch.shared]);
        self.to.write_all(&words(job)).unwrap();
        Ok(())
    }

    fn multiply(&mut self, product: &Product) -> Result<(), Unavailable> {
        self.controls.products.fetch_add(1, Ordering::Relaxed);
        self.say(b'm', &[product.rows, product.queries]);
        self.words(&[product.width, product.rows_count, product.queries_count]);
        self.to.write_all(&product.out.to_le_bytes()).unwrap();
        self.words(&[product.stride]);
        Ok(())
    }
}

/// A device of bytes for columns over a new emulator.
pub fn device(most_bytes: usize) -> (Device, Arc<Controls>) {
    let controls = Arc::new(Controls::default());
    let options = Options { cubins: None, most_bytes, threads: 2 };
    (Device::over(Box::new(Emulator::start(Arc::clone(&controls))), &options), controls)
}
