//! The way through CUDA's driver and libraries, with stand-ins for them: each test starts this
//! program anew with a folder of libraries before all others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kernels::cuda::{Device, Options, Search};
use kernels::simd::level::Level;
use kernels::vectors::{Metric, Rows, Visible};

use super::emulator::compiled;
use super::exact::{METRICS, check, numbers};

const LIBRARIES: [&str; 3] = ["libcuda.so.1", "libnvrtc.so.12", "libcublasLt.so.13"];

/// A folder that holds some of the libraries.
fn folder(test: &str, libraries: &[&str]) -> PathBuf {
    let built = compiled("stand_in.cpp", &["-shared", "-fPIC"]);
    let name = format!("stand-in-{test}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    for library in libraries {
        let _ = fs::remove_file(folder.join(library));
        // One file under several names is loaded once, and so knows its memory.
        fs::hard_link(&built, folder.join(library)).unwrap();
    }
    folder
}

/// What `searches` says in a process that finds the folder's libraries.
fn output(folder: &Path, fault: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["cuda::stand_in::searches", "--exact", "--ignored", "--nocapture"]);
    command.env("LD_LIBRARY_PATH", folder).env("FAULT", fault).env("CUBINS", folder);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Run by the tests below: opens the device and searches, or says why not.
#[test]
#[ignore = "the other tests start it"]
fn searches() {
    let cubins = std::env::var_os("CUBINS").map(PathBuf::from);
    let device = Device::open(Options { cubins, most_bytes: 1 << 30, threads: 2 });
    let device = match device {
        Ok(device) => device,
        Err(error) => return println!("unavailable: {error}"),
    };
    println!("opened {}", device.name());
    let all = numbers(5000 * 20, 1);
    let chunks = [Rows::single(&all, 20).unwrap()];
    for metric in METRICS {
        let (level, visible) = (Level::best(), Visible::default());
        let search = Search { level, metric, segment: 1, chunks: &chunks, visible, first_key: 0 };
        for count in [1, 8, 9] {
            let queries = numbers(20 * count, count as u64);
            if let Err(error) = device.nearest(&search, &queries, 10) {
                return println!("unavailable: {error}");
            }
            // From another thread too, which has no context of its own yet.
            std::thread::scope(|scope| {
                scope.spawn(|| check(&device, &search, &all, &queries, 10));
            });
        }
    }
    assert_eq!(device.nearest(&l1(&chunks), &all[..20], 1).ok(), None);
    println!("as the CPU");
}

fn l1<'a>(chunks: &'a [Rows<'a>]) -> Search<'a> {
    let (level, visible) = (Level::best(), Visible::default());
    Search { level, metric: Metric::L1, segment: 1, chunks, visible, first_key: 0 }
}

#[test]
fn a_search_through_all_libraries() {
    let folder = folder("all", &LIBRARIES);
    let found = said(&output(&folder, ""));
    assert!(found.contains("opened a stand-in") && found.contains("as the CPU"), "{found}");
    assert_eq!(found.matches("NVRTC compiles").count(), 3, "{found}");
    assert!(found.contains("cuBLASLt multiplies"), "{found}");
    // What was compiled is kept, so that the compiler is not even needed.
    fs::remove_file(folder.join("libnvrtc.so.12")).unwrap();
    let found = said(&output(&folder, ""));
    assert!(found.contains("as the CPU") && !found.contains("NVRTC"), "{found}");
    // A file that is damaged is not believed.
    for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "cubin") {
            fs::write(entry, "damaged").unwrap();
        }
    }
    let found = said(&output(&folder, ""));
    assert!(found.contains("unavailable: no CUDA compiler (libnvrtc) was found"), "{found}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_products() {
    let folder = folder("no-products", &LIBRARIES[..2]);
    let found = said(&output(&folder, ""));
    assert!(found.contains("as the CPU") && !found.contains("multiplies"), "{found}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn each_fault_has_its_reason() {
    let folder = folder("faults", &LIBRARIES);
    for (fault, reason) in [
        ("init", "the GPU failed to start: unknown error"),
        ("no_device", "the NVIDIA driver has no device"),
        ("old_device", "a stand-in is older than compute capability 8.0"),
        ("compile", "NVRTC_ERROR_COMPILATION: sextant.cu(2): error: it is asked to"),
        ("memory", "the device has no 1 MB of memory free"),
        ("illegal", "the GPU failed to finish its work: an illegal memory access was encountered"),
    ] {
        let output = output(&folder, fault);
        let found = said(&output);
        assert!(output.status.success() && !found.contains("panicked"), "{fault}: {found}");
        let line = found.lines().find(|line| line.starts_with("unavailable: ")).unwrap_or("");
        assert!(line.ends_with(reason), "{fault}: {found}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// A library of the right name that is another one.
#[test]
fn a_driver_that_lacks_a_function() {
    let empty = compiled("empty.cpp", &["-shared", "-fPIC"]);
    let folder = folder("empty", &[]);
    fs::copy(empty, folder.join("libcuda.so.1")).unwrap();
    let found = said(&output(&folder, ""));
    let reason = "unavailable: the NVIDIA driver is too old: it has no cuInit";
    assert!(found.contains(reason), "{found}");
    fs::remove_dir_all(folder).unwrap();
}
