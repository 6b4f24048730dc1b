"""C code generation: `kinemill.export.c99` against emx-onnx-cgen, on exported steps.

Install emx-onnx-cgen into an environment of its own and run
`python -m benchmarks.decide_c_codegen PATH_OF_EMX_ONNX_CGEN`. The result is
docs/decisions/c-code-generation.md.
"""

import ctypes
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks import interleaved
from benchmarks._exports import DESCRIPTION, random_step
from kinemill.errors import BadInput
from kinemill.export.c99 import generate
from kinemill.export.c99.compiler import compile_shared, compiler
from kinemill.export.c99.rollout import compile_rollout
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from tests.models.options import LEARN, OPTIONS

Floats = NDArray[np.float32]
MEASURED = {
    "MLP 2x64": {"type": "mlp", "hidden_sizes": [64, 64]},
    "GRU 64": {"type": "gru", "hidden_size": 64},
}
HISTORY, ROWS, CALLS, BATCH, HORIZON = 8, 200, 2000, 256, 25
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]


@dataclass(frozen=True)
class Step:
    """A compiled step: its source file and the call on the addresses of its tensors."""

    source: Path
    call: Callable[..., None]


def main() -> None:
    """Print one table for the measured models and one line for each architecture."""
    emx = sys.argv[1]
    for name, model in MEASURED.items():
        with tempfile.TemporaryDirectory() as folder:
            _measure(name, _export(model, Path(folder)), emx)
    for name, model in OPTIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            step = _export({"type": name, **model}, Path(folder), **LEARN.get(name, {}))
            print(f"{name}: kinemill {_ours_translates(step)}, emx {_emx_translates(step, emx)}")


def _export(model: dict, folder: Path, **learn) -> Path:
    step = random_step(model, HISTORY, learn=learn)
    write_model(step, describe(DESCRIPTION, step), folder)
    return folder / "step.onnx"


def _emx_source(step: Path, emx: str, batch: int) -> Path:
    source = step.with_name(f"emx_{batch}.c")
    command = [emx, "compile", str(step), str(source), "--input-dim", f"batch={batch}"]
    # No heap and no file of weights: a microcontroller has neither.
    command += ["--large-temp-threshold", "0", "--large-weight-threshold", "0", "--restrict-arrays"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BadInput("emx-onnx-cgen", (result.stdout + result.stderr).strip().splitlines()[-1])
    return source


def _emx(step: Path, emx: str, batch: int, tensors: int) -> Step:
    source = _emx_source(step, emx, batch)
    function = compile_shared([source]).model
    function.argtypes, function.restype = [ctypes.c_void_p] * tensors, None
    return Step(source, function)


def _ours(step: Path) -> Step:
    made = generate(step.read_bytes())
    source = step.with_name("step.c")
    source.write_text(made.code)
    source.with_suffix(".h").write_text(made.header)
    function = getattr(compile_shared([source]), f"{made.name}_step")
    function.argtypes, function.restype = [ctypes.c_void_p] * 4, None
    return Step(source, function)


def _measure(name: str, step: Path, emx: str) -> None:
    session = onnxruntime.InferenceSession(step, providers=["CPUExecutionProvider"])
    shapes = [[1, *item.shape[1:]] for item in session.get_inputs()]
    names = [item.name for item in session.get_inputs()]
    random = np.random.default_rng(0)
    ours, theirs = _ours(step), _emx(step, emx, 1, 2 * len(shapes) - 1)
    errors = np.zeros(2)
    for _ in range(ROWS):
        state, action, carry = (random.normal(size=s).astype(np.float32) for s in shapes)
        expected = session.run(None, dict(zip(names, (state, action, carry), strict=True)))
        after, memory = np.empty_like(state), carry.copy()
        ours.call(*(part.ctypes.data for part in (state, action, memory, after)))
        errors[0] = max(errors[0], _difference([after, memory], expected))
        after, memory = np.empty_like(state), np.empty_like(carry)
        theirs.call(*(part.ctypes.data for part in (state, action, carry, after, memory)))
        errors[1] = max(errors[1], _difference([after, memory], expected))
    own = [part.ctypes.data for part in (state, action, memory, after)]
    other = [part.ctypes.data for part in (state, action, carry, after, memory)]
    feed = dict(zip(names, (state, action, carry), strict=True))
    seconds = interleaved(
        {
            "kinemill": lambda: [ours.call(*own) for _ in range(CALLS)],
            "emx": lambda: [theirs.call(*other) for _ in range(CALLS)],
            "onnxruntime": lambda: [session.run(None, feed) for _ in range(CALLS)],
        }
    )
    print(f"## {name}")
    for maker, made, error in zip(("kinemill", "emx"), (ours, theirs), errors, strict=True):
        print(f"{maker}: error {error:.2g}, {seconds[maker] / CALLS * 1e6:.2f} us a step")
        print(f"  {_size(made.source)} bytes of -Os text, {_warnings(made.source)} strict errors")
        print(f"  {len(made.source.read_text().splitlines())} lines of C")
    print(f"ONNX Runtime: {seconds['onnxruntime'] / CALLS * 1e6:.2f} us a step")
    _measure_rollout(step, emx, shapes)


def _measure_rollout(step: Path, emx: str, shapes: list[list[int]]) -> None:
    """Compare ours in lanes with a loop over emx's step of the whole batch, ns per state step."""
    random = np.random.default_rng(0)
    states, actions = shapes[0][1], shapes[1][1]
    rows = random.normal(size=(BATCH, HISTORY, states)).astype(np.float32)
    past = random.normal(size=(BATCH, HISTORY - 1, actions)).astype(np.float32)
    future_actions = random.normal(size=(BATCH, HORIZON, actions)).astype(np.float32)
    rollout = compile_rollout(step.read_bytes())
    theirs = _emx(step, emx, BATCH, 2 * len(shapes) - 1)
    columns = [np.ascontiguousarray(future_actions[:, k]) for k in range(HORIZON)]
    buffers = [np.zeros((BATCH, *shape[1:]), np.float32) for shape in (shapes[0], shapes[2]) * 2]

    def loop() -> None:
        # The first history rows only fill the carry; both are charged for them.
        source, target = buffers[:2], buffers[2:]
        for k in range(HISTORY - 1 + HORIZON):
            action = columns[k % HORIZON]
            parts = (source[0], action, source[1], target[0], target[1])
            theirs.call(*(part.ctypes.data for part in parts))
            source, target = target, source

    seconds = interleaved({"kinemill": lambda: rollout(rows, past, future_actions), "emx": loop})
    for maker, value in seconds.items():
        print(f"rollout of {BATCH}, {maker}: {value / BATCH / HORIZON * 1e9:.0f} ns a state step")


def _difference(values: list[Floats], expected: list[Floats]) -> float:
    pairs = zip(values, expected, strict=True)
    return max(float(np.abs(one.reshape(-1) - two.reshape(-1)).max()) for one, two in pairs)


def _size(source: Path) -> int:
    target = source.with_suffix(".o")
    subprocess.run([compiler(), "-Os", "-c", str(source), "-o", str(target)], check=True)
    output = subprocess.run(["size", str(target)], capture_output=True, text=True, check=True)
    return int(output.stdout.splitlines()[1].split()[0])


def _warnings(source: Path) -> int:
    command = [compiler(), *STRICT, "-fsyntax-only", str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return len(re.findall(r" error: ", result.stderr))


def _ours_translates(step: Path) -> str:
    try:
        _ours(step)
    except BadInput as error:
        return str(error)
    return "yes"


def _emx_translates(step: Path, emx: str) -> str:
    try:
        compile_shared([_emx_source(step, emx, 1)])
    except BadInput as error:
        return str(error)
    return "yes"


if __name__ == "__main__":
    main()
