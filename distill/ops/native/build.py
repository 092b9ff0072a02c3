"""Compiles the kernels by the system's C++ compiler, once per machine, and registers them.

PyTorch and Triton do the same. What is compiled for one machine runs at its full width of vectors,
which a wheel for all of them could not; and where there is no compiler, there is no error either:
the formulations in plain JAX do the same work in more time.
"""

import concurrent.futures
import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

import jax

from distill.cache import directory

FOLDER = pathlib.Path(__file__).parent
TARGETS = (
    "distill_conv", "distill_conv_image", "distill_conv_kernel",
    "distill_max_pool", "distill_max_pool_image", "distill_channel_sums",
    "distill_bias_gradient",
)  # fmt: skip
SWITCH = "DISTILL_NATIVE"  # 0 in the environment: do without
TIMEOUT_S = 300


@functools.cache
def prepare() -> concurrent.futures.Future[pathlib.Path]:
    """Begins to compile the kernels, beside what is done until they are wanted."""
    return concurrent.futures.ThreadPoolExecutor(1).submit(_compiled)


@functools.cache
def library() -> ctypes.CDLL | None:
    """Returns the kernels, their targets registered, or None where they cannot be had."""
    try:
        found = ctypes.CDLL(str(prepare().result()))
        for target in TARGETS:
            handler = jax.ffi.pycapsule(getattr(found, target))
            jax.ffi.register_ffi_target(target, handler, platform="cpu")
    except (OSError, AttributeError, subprocess.SubprocessError):
        return None
    return found


def _compiled() -> pathlib.Path:
    """Returns the shared library for these sources, compiler and machine; compiles it if needed.

    Raises:
      OSError, subprocess.SubprocessError: if it cannot be compiled or kept.
    """
    if os.environ.get(SWITCH) == "0":
        raise FileNotFoundError(f"{SWITCH} is 0")
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if compiler is None:
        raise FileNotFoundError("there is no C++ compiler")
    command = [
        compiler, "-std=c++17", "-O2", "-ftree-vectorize",
        "-fvect-cost-model",  # dynamic; "=dynamic" says the same to GCC, and stops Clang
        "-march=native", "-fPIC", "-shared", "-DNDEBUG", "-w",
        f"-I{jax.ffi.include_dir()}", str(FOLDER / "conv.cc"),
    ]  # fmt: skip
    sources = [*sorted(FOLDER.glob("*.h")), FOLDER / "conv.cc"]
    text = [path.read_text(encoding="utf-8") for path in sources]
    about = [*command, jax.lib.__version__, _processor(), *text]
    name = hashlib.sha256("\0".join(about).encode()).hexdigest()[:16]
    folder = directory() / "native"
    path = folder / f"{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            part = pathlib.Path(scratch) / path.name
            subprocess.run(
                [*command, "-o", str(part)], check=True, capture_output=True, timeout=TIMEOUT_S
            )
            part.replace(path)  # several processes may do so at once; the files are alike
    return path


def _processor() -> str:
    """Returns what `-march=native` depends on: a home directory may be shared by machines."""
    info = pathlib.Path("/proc/cpuinfo")
    flags = [line for line in info.read_text().splitlines() if line.startswith(("flags", "Feat"))]
    return flags[0] if flags else platform.processor()
