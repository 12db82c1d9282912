//! A GPU through CUDA's driver, which is opened when it is asked for.
//!
//! All work is on the default stream, so it happens in the order in which it is asked for, and a
//! read waits for it. cudarc panics when a library or a function of one is missing; both are looked
//! for before anything is called.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::path::PathBuf;

use cudarc::driver::{result, sys};

use super::blas::Blas;
use super::compile;
use super::job::Job;
use super::machine::{Kernel, Launch, Machine, Product, Unavailable};

/// What is called, here and in cudarc's thin layer.
const SYMBOLS: [&str; 20] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemcpyHtoD_v2",
    "cuMemcpyDtoH_v2",
    "cuMemsetD8_v2",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuLaunchKernel",
    "cuGetErrorString",
];

/// The least compute capability: what the kernels are compiled for in the tests begins with it.
const LEAST_MAJOR: i32 = 8;

/// A device with its context, its kernels and its products.
pub struct Cuda {
    device: sys::CUdevice,
    context: sys::CUcontext,
    name: String,
    processors: u32,
    architecture: String,
    driver: i32,
    cubins: Option<PathBuf>,
    modules: HashMap<Vec<String>, sys::CUmodule>,
    functions: HashMap<Kernel, sys::CUfunction>,
    blas: Option<Blas>,
}

// SAFETY: the driver's handles may be used by any thread that has made the context current, which
// each method does; `Machine` is used by one thread at a time.
unsafe impl Send for Cuda {}

fn failed(what: &str, error: result::DriverError) -> Unavailable {
    let said = error.error_string().map(|text| text.to_string_lossy().into_owned());
    let said = said.unwrap_or_else(|_| "an error without a name".to_owned());
    Unavailable::new(format!("the GPU failed to {what}: {said}"))
}

fn check() -> Result<(), Unavailable> {
    // SAFETY: opens the library by its usual names, which runs only its own start.
    if !unsafe { sys::is_culib_present() } {
        return Err(Unavailable::new("no NVIDIA driver (libcuda) was found"));
    }
    for name in SYMBOLS {
        // SAFETY: the symbol is looked up, not called.
        if unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_err() {
            return Err(Unavailable::new(format!(
                "the NVIDIA driver is too old: it has no {name}"
            )));
        }
    }
    Ok(())
}

impl Cuda {
    /// The first device, once it has proved that it loads a kernel.
    pub fn open(cubins: Option<PathBuf>) -> Result<Self, Unavailable> {
        check()?;
        result::init().map_err(|error| failed("start", error))?;
        let count = result::device::get_count().map_err(|error| failed("be counted", error))?;
        if count == 0 {
            return Err(Unavailable::new("the NVIDIA driver has no device"));
        }
        let device = result::device::get(0).map_err(|error| failed("be opened", error))?;
        let name = result::device::get_name(device).unwrap_or_else(|_| "a GPU".to_owned());
        let attribute = |which| {
            // SAFETY: the device is the driver's own.
            let value = unsafe { result::device::get_attribute(device, which) };
            value.map_err(|error| failed("say what it is", error))
        };
        use sys::CUdevice_attribute as Attribute;
        let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let processors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        if major < LEAST_MAJOR {
            let reason = format!("{name} is older than compute capability {LEAST_MAJOR}.0");
            return Err(Unavailable::new(reason));
        }
        let mut driver = 0;
        // SAFETY: writes one number of ours.
        let version = unsafe { sys::cuDriverGetVersion(&raw mut driver) }.result();
        version.map_err(|error| failed("say its version", error))?;
        // SAFETY: the device is the driver's own; `drop` releases what this retains.
        let context = unsafe { result::primary_ctx::retain(device) };
        let mut opened = Self {
            device,
            context: context.map_err(|error| failed("be used", error))?,
            name,
            processors: processors.unsigned_abs(),
            architecture: format!("sm_{major}{minor}"),
            driver,
            cubins,
            modules: HashMap::new(),
            functions: HashMap::new(),
            blas: None,
        };
        opened.enter()?;
        opened.function(Kernel::Select)?;
        // Without cuBLASLt many queries take several passes.
        opened.blas = Blas::open().ok();
        Ok(opened)
    }

    /// Makes the context the thread's own.
    fn enter(&self) -> Result<(), Unavailable> {
        // SAFETY: the context is retained as long as `self` is.
        let entered = unsafe { result::ctx::set_current(self.context) };
        entered.map_err(|error| failed("be entered", error))
    }

    fn function(&mut self, kernel: Kernel) -> Result<sys::CUfunction, Unavailable> {
        if let Some(function) = self.functions.get(&kernel) {
            return Ok(*function);
        }
        let of = compile::defines(kernel);
        let module = match self.modules.get(&of) {
            Some(module) => *module,
            None => {
                let target = (self.architecture.as_str(), self.driver);
                let cubin = compile::module(kernel, target, self.cubins.as_deref())?;
                // SAFETY: a whole cubin, as the compiler gave it; the driver copies it.
                let module = unsafe { result::module::load_data(cubin.as_ptr().cast()) };
                let module = module.map_err(|error| failed("load a kernel", error))?;
                self.modules.insert(of, module);
                module
            }
        };
        let name = match kernel {
            Kernel::Scan { .. } => "scan",
            Kernel::Gate => "gate",
            Kernel::Select => "select",
        };
        let name = CString::new(name).map_err(|_| Unavailable::new("a name has a NUL"))?;
        // SAFETY: the module is loaded and is unloaded with `self`.
        let function = unsafe { result::module::get_function(module, name) };
        let function = function.map_err(|error| failed("find a kernel", error))?;
        self.functions.insert(kernel, function);
        Ok(function)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        if self.enter().is_err() {
            return;
        }
        let _ = result::ctx::synchronize();
        self.blas = None;
        for module in self.modules.values() {
            // SAFETY: loaded by us, unloaded once; nothing runs any more.
            let _ = unsafe { result::module::unload(*module) };
        }
        // SAFETY: retained once in `open`.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

impl Machine for Cuda {
    fn name(&self) -> &str {
        &self.name
    }

    fn processors(&self) -> u32 {
        self.processors
    }

    fn multiplies(&self) -> bool {
        self.blas.is_some()
    }

    fn allocate(&mut self, bytes: usize) -> Result<u64, Unavailable> {
        self.enter()?;
        // SAFETY: no memory of ours is named; what it holds is written before it is read.
        match unsafe { result::malloc_sync(bytes) } {
            Ok(address) => Ok(address),
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                Err(Unavailable::out_of_memory(bytes))
            }
            Err(error) => Err(failed("give memory", error)),
        }
    }

    fn free(&mut self, address: u64) {
        if self.enter().is_ok() {
            // SAFETY: `allocate` gave the address; the driver waits for what uses it.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Unavailable> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: the caller allocated at least as many bytes at the address; returns when copied.
        let written = unsafe { result::memcpy_htod_sync(address, bytes) };
        written.map_err(|error| failed("take data", error))
    }

    fn clear(&mut self, address: u64, bytes: usize) -> Result<(), Unavailable> {
        self.enter()?;
        // SAFETY: as above.
        let cleared = unsafe { result::memset_d8_sync(address, 0, bytes) };
        cleared.map_err(|error| failed("clear memory", error))
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Unavailable> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: as above, into memory of ours of that length.
        let read = unsafe { result::memcpy_dtoh_sync(bytes, address) };
        read.map_err(|error| failed("finish its work", error))
    }

    fn launch(&mut self, launch: Launch, job: &Job) -> Result<(), Unavailable> {
        self.enter()?;
        let function = self.function(launch.kernel)?;
        let mut parameters = [std::ptr::from_ref(job).cast_mut().cast::<c_void>()];
        let [across, down] = launch.blocks;
        // SAFETY: every kernel takes one `Job`, which the driver copies before it returns; its
        // addresses are of memory that `Inner` keeps, of the sizes that the kernels keep to.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (across, down, 1),
                (launch.threads, 1, 1),
                launch.shared,
                std::ptr::null_mut(),
                &mut parameters,
            )
        };
        launched.map_err(|error| failed("start a kernel", error))
    }

    fn multiply(&mut self, product: &Product) -> Result<(), Unavailable> {
        self.enter()?;
        match &mut self.blas {
            Some(blas) => blas.multiply(product),
            None => Err(Unavailable::new("no cuBLASLt was found")),
        }
    }
}
