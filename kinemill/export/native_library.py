"""Native library: rollouts compiled for this machine, for `kinemill.runtime.load(engine="c")`."""

import tempfile
from functools import lru_cache
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.export.c99.compiler import compile_shared, compiler
from kinemill.export.c99.rollout import LANES, rollout_code
from kinemill.export.c99.source import STACK, Parts, read
from kinemill.runtime.native_engine import CompiledRollout


def compile_rollout(step: bytes) -> CompiledRollout:
    """Compile the rollout of a step.onnx.

    Raises:
        BadInput: No compiler, an ensemble, or an unsupported operation.
    """
    compiler()  # before the cache: the compiler may have been removed
    return _compiled(step)


@lru_cache(maxsize=8)
def _compiled(step: bytes) -> CompiledRollout:
    parts = read(step)
    if parts.interface.belief is not None:
        raise BadInput("step.onnx", "is of an ensemble", expected="a single model")
    lanes = lanes_of(parts)
    with tempfile.TemporaryDirectory(prefix="kinemill-c-") as folder:
        sources = [Path(folder) / f"rollout_{count}.c" for count in sorted({1, lanes})]
        for path, count in zip(sources, sorted({1, lanes}), strict=True):
            path.write_text(rollout_code(parts, count))
        library = compile_shared(sources)
    name = Path(compiler()).name
    return CompiledRollout(library, lanes, len(parts.interface.states), f"C by {name}")


def lanes_of(parts: Parts) -> int:
    """Return the number of rows that run in parallel: as many as the stack of a thread holds."""
    one = 4 * max(parts.core.elements, parts.warm.elements)
    return next((lanes for lanes in (LANES, LANES // 4) if lanes * one <= STACK), 1)
