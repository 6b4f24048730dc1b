"""Compiling C for this computer, and loading it.

What is compiled was made here, from an ONNX file, and is never taken from a model's folder: one
from elsewhere runs no code of its own. The library lies in a private folder that is gone before
anybody can look into it.
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
# Contracted to fused multiply-add, as ONNX Runtime does; NaN and infinity keep their meaning.
FLAGS = ("-std=gnu99", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
# The quickest that a compiler takes; not every one knows this processor.
TARGETS = (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ())
SECONDS = 120.0


def compiler() -> str:
    """Return the path of a C compiler.

    Raises:
        BadInput: there is none.
    """
    path = next(filter(None, map(shutil.which, COMPILERS)), None)
    if path is None:
        raise BadInput("C compiler", "is not there", expected=f"one of {', '.join(COMPILERS)}")
    return path


def compile_shared(sources: Sequence[Path], flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Compile and load a library.

    Args:
        sources: C files.
        flags: beside the usual ones.

    Raises:
        BadInput: there is no compiler, it does not take them, or it takes too long.
    """
    path, message = compiler(), ""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kinemill-c-") as folder:
        library = Path(folder) / "compiled.so"
        for target in TARGETS:
            command = [path, *FLAGS, *target, *flags, "-shared", "-fPIC", *map(str, sources)]
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
            message = done.stderr.strip().splitlines()[0] if done.stderr.strip() else "says nothing"
    raise BadInput(path, f"does not compile: {message}", fix="run the model with ONNX Runtime")
