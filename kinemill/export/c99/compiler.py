"""C compiler: compile generated code to a shared library and load it.

Only code generated from an ONNX file in this process is compiled, never files of a model folder, so
that a downloaded model cannot run code. A library is in a private folder: a temporary one, or for
rollouts the cache of the user, because optimizing a large model takes minutes.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from kinemill.errors import BadInput

COMPILERS = ("cc", "gcc", "clang")
# Fused multiply-add, as in ONNX Runtime. No -ffast-math: NaN and infinity must propagate.
# -O2 with loops unrolled: -O3 takes 4.5 times as long to compile, up to minutes for a long history,
# is 1.2 times as fast for a single row, and 0.27 times as fast for 256 rows of a NARX model.
FLAGS = (
    "-std=gnu99", "-O2", "-fvect-cost-model=dynamic", "-fpeel-loops", "-funroll-loops",
    "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
)  # fmt: skip
# Fastest first: a compiler may not support the flags of this processor.
TARGETS = (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ())
SECONDS = 120.0
_MOST_LIBRARIES = 32  # libraries in the cache
_LOG = logging.getLogger("kinemill.export")


def compiler() -> str:
    """Return the path of a C compiler.

    Raises:
        BadInput: No compiler is installed.
    """
    path = next(filter(None, map(shutil.which, COMPILERS)), None)
    if path is None:
        raise BadInput("C compiler", "is not installed", expected=f"one of {', '.join(COMPILERS)}")
    return path


def compile_shared(sources: Sequence[Path]) -> ctypes.CDLL:
    """Compile and load a library.

    Raises:
        BadInput: No compiler is installed, or it fails or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="kinemill-c-") as folder:
        library = Path(folder) / "compiled.so"
        _compile(sources, library)
        return ctypes.CDLL(str(library))


def compile_cached(sources: Sequence[str]) -> ctypes.CDLL:
    """Compile and load a library, or load the one of an earlier call with the same code.

    The sources include no files of their own. The cache is private to the user, who can delete it.

    Raises:
        BadInput: As in `compile_shared`.
    """
    folder = _cache()
    key = hashlib.sha256("\0".join([compiler(), *FLAGS, _processor(), *sources]).encode())
    library = folder / f"{key.hexdigest()}.so"
    if not library.is_file():
        _LOG.warning("compiling the model, once on this machine")
        with tempfile.TemporaryDirectory(prefix="new-", dir=folder) as scratch:
            paths = [Path(scratch) / f"{number}.c" for number in range(len(sources))]
            for path, source in zip(paths, sources, strict=True):
                path.write_text(source)
            _compile(paths, Path(scratch) / library.name)
            (Path(scratch) / library.name).rename(library)
        for old in sorted(folder.glob("*.so"), key=lambda path: path.stat().st_mtime)[
            :-_MOST_LIBRARIES
        ]:
            old.unlink(missing_ok=True)  # another process may have removed it
    return ctypes.CDLL(str(library))


def _cache() -> Path:
    """Return the folder of compiled code, which nobody else can write.

    Raises:
        BadInput: Another user owns the folder or can write to it.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "kinemill" / "compiled"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        problem = "can be written by another user, who could place code there"
        raise BadInput(folder, problem, fix=f"chmod 700 {folder}, or set XDG_CACHE_HOME")
    return folder


def _processor() -> str:
    """Return the processor that code for this machine is compiled for."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else [platform.processor()]
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))


def _compile(sources: Sequence[Path], library: Path) -> None:
    path = compiler()
    message = ""
    started = time.monotonic()
    for target in TARGETS:
        command = [path, *FLAGS, *target, "-shared", "-fPIC", *map(str, sources)]
        remaining = max(started + SECONDS - time.monotonic(), 0.1)
        try:
            done = subprocess.run(
                [*command, "-o", str(library), "-lm"],
                capture_output=True,
                text=True,
                check=False,
                timeout=remaining,
            )
        except subprocess.TimeoutExpired:
            message = f"takes more than {SECONDS:g} s"
            break
        if done.returncode == 0:
            return
        message = done.stderr.strip().splitlines()[0] if done.stderr.strip() else "no message"
    raise BadInput(path, f"does not compile: {message}", fix="run the model with ONNX Runtime")
