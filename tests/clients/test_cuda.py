"""The CUDA kernels become machine code, without a GPU, a driver or a toolkit: NVRTC is a wheel.

ptxas says in the log what a kernel takes; registers that do not suffice would be spilled to memory.
"""

import ctypes
import importlib.metadata
import pathlib
import re

import pytest

KERNELS = pathlib.Path(__file__).parents[2] / "udfs/kernels/src/cuda"
SCANS = [(queries, lanes) for queries in (1, 2, 4, 8) for lanes in (1, 2, 4, 8, 16, 32)]


@pytest.fixture(scope="module")
def nvrtc():
    files = importlib.metadata.files("nvidia-cuda-nvrtc")
    found = {file.name.split(".so")[0]: str(file.locate()) for file in files if ".so" in file.name}
    # The compiler looks for its own functions by name, and finds what is loaded already.
    ctypes.CDLL(found["libnvrtc-builtins"], mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(found["libnvrtc"])


def source():
    """The text that `compile.rs` hands to NVRTC."""
    included = re.search(r"SOURCE: &str =\s*concat!\((.*?)\);", (KERNELS / "compile.rs").read_text(), re.S)
    names = re.findall(r'include_str!\("([^"]+)"\)', included[1])
    assert set(names) == {file.name for file in KERNELS.glob("*.cu")}
    return "".join((KERNELS / name).read_text() for name in names)


def compiled(nvrtc, text, *options):
    """Whether it compiles, the code, and the log."""
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"sextant.cu", 0, None, None) == 0
    given = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    status = nvrtc.nvrtcCompileProgram(program, len(options), given)

    def told(function):
        size = ctypes.c_size_t()
        getattr(nvrtc, f"nvrtcGet{function}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(nvrtc, f"nvrtcGet{function}")(program, buffer)
        return buffer.raw

    log = told("ProgramLog").rstrip(b"\0").decode()
    code = told("CUBIN") if status == 0 else b""
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status == 0, code, log


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("scan", [None, *SCANS], ids=str)
def test_kernels_compile_and_spill_nothing(nvrtc, architecture, scan):
    options = [f"--gpu-architecture={architecture}", "--std=c++17", "--ptxas-options=-v"]
    if scan:
        options += [f"-DSCAN_QUERIES={scan[0]}", f"-DSCAN_LANES={scan[1]}"]
    worked, code, log = compiled(nvrtc, source(), *options)
    assert worked, log
    assert code.startswith(b"\x7fELF")
    for name in [b"scan"] if scan else [b"gate", b"select"]:
        assert b".text." + name in code
    # Threads of a block, and registers of a multiprocessor for four blocks of them or for one.
    most = 128 if scan else 64
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", log)]
    assert len(registers) == (1 if scan else 2), log
    assert max(registers) <= most, log
    spilled = re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", log)
    assert spilled and set(spilled) == {"0"}, log


def test_a_mistake_is_told(nvrtc):
    worked, code, log = compiled(nvrtc, "__global__ void f() { nothing(); }", "--gpu-architecture=sm_90")
    assert not worked and code == b"" and "nothing" in log
