"""C compiler: compile generated code to a shared library and load it.

Only code generated from an ONNX file in this process is compiled, never files of a model folder, so
that a downloaded model cannot run code. The library is in a private folder that is removed after
loading.
"""

import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from kinemill.errors import BadInput

COMPILERS = ("cc", "gcc", "clang")
# Fused multiply-add, as in ONNX Runtime. No -ffast-math: NaN and infinity must propagate.
FLAGS = ("-std=gnu99", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
# Fastest first: a compiler may not support the flags of this processor.
TARGETS = (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ())
SECONDS = 120.0


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
    path = compiler()
    message = ""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kinemill-c-") as folder:
        library = Path(folder) / "compiled.so"
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
                return ctypes.CDLL(str(library))
            message = done.stderr.strip().splitlines()[0] if done.stderr.strip() else "no message"
    raise BadInput(path, f"does not compile: {message}", fix="run the model with ONNX Runtime")
