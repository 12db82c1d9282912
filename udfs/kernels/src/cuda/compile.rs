//! From the kernels' text to machine code, by NVRTC; kept in a folder from process to process.
//!
//! A file is named by a hash of all that decides its contents: text, options, architecture and the
//! versions of driver and compiler. It ends with a CRC-32, and one that is damaged is made anew.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::fs;
use std::path::{Path, PathBuf};

use cudarc::nvrtc::{result, sys};
use sha1::{Digest, Sha1};

use super::machine::{Kernel, Unavailable};

/// The kernels, and what they share, in one text.
pub const SOURCE: &str =
    concat!(include_str!("device.cu"), include_str!("scan.cu"), include_str!("select.cu"));

/// What is called, so that nothing is called that is not there.
const SYMBOLS: [&str; 8] = [
    "nvrtcVersion",
    "nvrtcCreateProgram",
    "nvrtcCompileProgram",
    "nvrtcDestroyProgram",
    "nvrtcGetCUBINSize",
    "nvrtcGetCUBIN",
    "nvrtcGetProgramLogSize",
    "nvrtcGetProgramLog",
];

/// The module that a kernel is in, by what tells it from others.
pub fn defines(kernel: Kernel) -> Vec<String> {
    match kernel {
        Kernel::Scan { queries, lanes } => {
            vec![format!("-DSCAN_QUERIES={queries}"), format!("-DSCAN_LANES={lanes}")]
        }
        Kernel::Gate | Kernel::Select => Vec::new(),
    }
}

/// Machine code of the module of a kernel, for an architecture as `sm_90`.
///
/// # Errors
/// No compiler, or what it says.
pub fn module(
    kernel: Kernel,
    (architecture, driver): (&str, i32),
    folder: Option<&Path>,
) -> Result<Vec<u8>, Unavailable> {
    let mut options = vec![format!("--gpu-architecture={architecture}"), "--std=c++17".to_owned()];
    options.extend(defines(kernel));
    let file = folder.map(|folder| file(folder, &options, driver));
    if let Some(found) = file.as_deref().and_then(read) {
        return Ok(found);
    }
    let cubin = compile(&options)?;
    if let Some(file) = &file {
        // A folder that cannot be written to costs time, not the answer.
        let _ = write(file, &cubin);
    }
    Ok(cubin)
}

fn file(folder: &Path, options: &[String], driver: i32) -> PathBuf {
    let mut hash = Sha1::new();
    for part in options.iter().map(String::as_str).chain([SOURCE]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(driver.to_le_bytes());
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("{name}.cubin"))
}

/// What a file holds, if it is whole.
fn read(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(file).ok()?;
    let sum = u32::from_le_bytes(*bytes.last_chunk()?);
    bytes.truncate(bytes.len() - 4);
    (crc32fast::hash(&bytes) == sum && !bytes.is_empty()).then_some(bytes)
}

/// Under a name of its own first, so that nobody reads half of it.
fn write(file: &Path, cubin: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    let sum = crc32fast::hash(cubin).to_le_bytes();
    fs::write(&partial, [cubin, &sum].concat())?;
    fs::rename(&partial, file)
}

fn failed(what: &str, error: result::NvrtcError) -> Unavailable {
    Unavailable::new(format!("the CUDA compiler (libnvrtc) failed to {what}: {:?}", error.0))
}

/// A program that is destroyed whatever happens.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `create_program`, destroyed once.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn check() -> Result<(), Unavailable> {
    // SAFETY: opens the library by its usual names, which runs only its own start.
    if !unsafe { sys::is_culib_present() } {
        return Err(Unavailable::new("no CUDA compiler (libnvrtc) was found"));
    }
    for name in SYMBOLS {
        // SAFETY: the symbol is looked up, not called.
        if unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_err() {
            return Err(Unavailable::new(format!("the CUDA compiler (libnvrtc) has no {name}")));
        }
    }
    Ok(())
}

fn compile(options: &[String]) -> Result<Vec<u8>, Unavailable> {
    check()?;
    let source = CString::new(SOURCE).map_err(|_| Unavailable::new("a kernel's text has a NUL"))?;
    let program = result::create_program(&source, Some(c"sextant.cu"));
    let program = Program(program.map_err(|error| failed("begin", error))?);
    // SAFETY: the program is alive; options hold no NUL.
    if let Err(error) = unsafe { result::compile_program(program.0, options) } {
        let reason = failed("compile", error).reason;
        return Err(Unavailable::new(format!("{reason}: {}", first_line(&program))));
    }
    let mut size = 0;
    // SAFETY: the program is alive and compiled; the size is written to a number of ours.
    let sized = unsafe { sys::nvrtcGetCUBINSize(program.0, &raw mut size) }.result();
    sized.map_err(|error| failed("give its code", error))?;
    let mut cubin = vec![0u8; size];
    // SAFETY: as above, into memory of the size that it asked for.
    let got = unsafe { sys::nvrtcGetCUBIN(program.0, cubin.as_mut_ptr().cast::<c_char>()) };
    got.result().map_err(|error| failed("give its code", error))?;
    Ok(cubin)
}

/// What the compiler says is wrong.
fn first_line(program: &Program) -> String {
    // SAFETY: the program is alive.
    let log = unsafe { result::get_program_log(program.0) }.unwrap_or_default();
    let log: Vec<u8> = log.into_iter().map(|byte| byte as u8).take_while(|b| *b != 0).collect();
    let log = String::from_utf8_lossy(&log).into_owned();
    log.lines().find(|line| line.contains("error")).unwrap_or("it does not say why").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where NVRTC is found; `tests/clients/test_cuda.py` always has it.
    #[test]
    fn kernels_compile() {
        let scan = Kernel::Scan { queries: 8, lanes: 32 };
        for (kernel, name) in [(scan, "scan"), (Kernel::Gate, "gate"), (Kernel::Select, "select")] {
            let cubin = match module(kernel, ("sm_90", 0), None) {
                Ok(cubin) => cubin,
                Err(error) if check().is_err() => return eprintln!("skipped: {error}"),
                Err(error) => panic!("{error}"),
            };
            let section = format!(".text.{name}\0");
            assert!(cubin.starts_with(b"\x7fELF"));
            assert!(cubin.windows(section.len()).any(|part| part == section.as_bytes()));
            let wrong = module(kernel, ("sm_1", 0), None).unwrap_err().to_string();
            assert!(wrong.contains("failed to compile: NVRTC_ERROR_INVALID_OPTION"), "{wrong}");
        }
    }

    #[test]
    fn files_are_read_only_when_whole() {
        let folder = std::env::temp_dir().join(format!("cubins-{}", std::process::id()));
        let options = vec!["--std=c++17".to_owned()];
        let path = file(&folder, &options, 12_080);
        assert_ne!(path, file(&folder, &options, 13_000));
        assert_ne!(path, file(&folder, &[], 12_080));
        assert_eq!(read(&path), None);
        write(&path, b"machine code").unwrap();
        assert_eq!(read(&path).as_deref(), Some(&b"machine code"[..]));
        for damage in [&b"machine"[..], b"", b"machine codeABCD"] {
            fs::write(&path, damage).unwrap();
            assert_eq!(read(&path), None);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
