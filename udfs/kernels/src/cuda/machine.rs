//! The seam between what is computed and what computes it: a device, or the tests' emulator of one.
//!
//! A machine has memory of its own, runs the kernels of this folder in the order in which they are
//! launched, and multiplies matrices. Every failure is `Unavailable`: the caller scans on the CPU.

use std::fmt;

use super::job::Job;

/// Why the device did not answer, in words for a NOTICE. It never stands for a wrong answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    pub reason: String,
    /// Whether less memory asked for would have helped.
    pub(super) is_memory: bool,
}

impl Unavailable {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_memory: false }
    }

    /// The device has not as much memory free.
    pub fn out_of_memory(bytes: usize) -> Self {
        let reason = format!("the device has no {} MB of memory free", bytes.div_ceil(1 << 20));
        Self { reason, is_memory: true }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unavailable {}

/// The kernels, by the names that they have in the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// So many queries at once, so many lanes for a row.
    Scan {
        queries: u32,
        lanes: u32,
    },
    Gate,
    Select,
}

/// How a kernel is started.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    pub kernel: Kernel,
    /// Blocks side by side, and rows of them.
    pub blocks: [u32; 2],
    pub threads: u32,
    /// Bytes of shared memory, beside those that the kernel declares.
    pub shared: u32,
}

/// Products of half floats, summed in single precision: `out[query * stride + row]`.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// Addresses of the first row and the first query; both have `width` half floats.
    pub rows: u64,
    pub queries: u64,
    pub width: u32,
    pub rows_count: u32,
    pub queries_count: u32,
    pub out: u64,
    pub stride: u32,
}

/// What the search needs of a device. Addresses are aligned to 16 bytes at least.
pub trait Machine: Send {
    fn name(&self) -> &str;

    /// Multiprocessors: what the number of blocks is chosen by.
    fn processors(&self) -> u32;

    /// Whether `multiply` can be called.
    fn multiplies(&self) -> bool;

    /// # Errors
    /// `Unavailable::out_of_memory`, or what else the machine says.
    fn allocate(&mut self, bytes: usize) -> Result<u64, Unavailable>;

    fn free(&mut self, address: u64);

    /// # Errors
    /// What the machine says, of this or of an earlier launch.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Unavailable>;

    /// Zeros; errors as `write`.
    fn clear(&mut self, address: u64, bytes: usize) -> Result<(), Unavailable>;

    /// Waits for what was launched; errors as `write`.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Unavailable>;

    /// Errors as `write`, and of the compiler.
    fn launch(&mut self, launch: Launch, job: &Job) -> Result<(), Unavailable>;

    /// Errors as `write`.
    fn multiply(&mut self, product: &Product) -> Result<(), Unavailable>;
}
