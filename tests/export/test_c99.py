"""C99 code of a step equals its ONNX file, compiled strictly and with sanitizers."""

import shutil
import subprocess

import numpy as np
import onnx
import pytest

from kinemill.errors import BadInput, Blocked
from kinemill.export.c99 import generate, parity, rollout, source
from kinemill.export.c99.compiler import compiler
from kinemill.export.c99.operations import OPERATIONS
from kinemill.export.c99.rollout import compile_rollout
from kinemill.export.c99.source import comment
from kinemill.runtime import load, wrapped
from tests.export.conftest import batch, published, random_step

pytestmark = pytest.mark.ci

STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]
# gcc takes 15 times as long with -O1 and -g, and optimized code hides undefined operations.
SANE = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
MODELS = {
    "mlp": {"type": "mlp", "hidden_sizes": [70, 33]},
    "silu, normalized": {
        "type": "mlp",
        "hidden_sizes": [16],
        "activation": "silu",
        "layer_norm": True,
    },
    "gru": {"type": "gru", "hidden_size": 24},
    "linear plus residual": {"type": "linear", "residual": {"type": "mlp", "hidden_sizes": [8]}},
}
# Reads rows of state and action; writes rows of next state and carry.
DRIVER = """
#include "step.h"
#include <stdio.h>
int main(void)
{
    float in[PENDULUM_STATES + PENDULUM_ACTIONS], carry[PENDULUM_CARRY + 1] = {0};
    while (fread(in, sizeof in, 1, stdin) == 1) {
        float next[PENDULUM_STATES];
        pendulum_step(in, in + PENDULUM_STATES, carry, next);
        fwrite(next, sizeof next, 1, stdout);
        fwrite(carry, sizeof(float), PENDULUM_CARRY, stdout);
    }
    return 0;
}
"""


QUICK = {"mlp"}  # compilation takes seconds


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in QUICK else [pytest.mark.ci]) for name in MODELS],
)
def folder(request, tmp_path_factory):
    return published(random_step(MODELS[request.param]), tmp_path_factory.mktemp("model"))


def built(folder, *flags):
    source = generate((folder / "step.onnx").read_bytes())
    (folder / "step.c").write_text(source.code)
    (folder / "step.h").write_text(source.header)
    (folder / "main.c").write_text(DRIVER)
    files = ["main.c", "step.c", "-o", "main", "-lm"]
    subprocess.run([compiler(), *STRICT, *flags, *files], cwd=folder, check=True)
    return source


@pytest.fixture(scope="module")
def program(folder):
    """Return the compiled step, with sanitizers."""
    built(folder, *SANE)
    return (folder / "main").rename(folder / "sanitized")


def run(program, rows):
    done = subprocess.run(
        [program], input=rows.astype(np.float32).tobytes(), capture_output=True, check=True
    )
    assert done.stderr == b""
    return np.frombuffer(done.stdout, np.float32).reshape(len(rows), -1)


def test_the_c_runs_as_the_onnx_file_under_sanitizers(folder, program):
    simulator = load(folder / "rollout.onnx", non_finite="pass")
    rows = np.random.default_rng(1).normal(0.0, 2.0, (60, 3))
    rows[20:, 0] *= 1e4  # angles far from zero, where math.h takes over
    result = run(program, rows)
    carry = simulator.initial_carry(1)
    angle = np.zeros(result.shape[1], np.bool_)
    angle[0] = True
    for row, mine in zip(rows.astype(np.float32), result, strict=True):
        state, *carry = simulator.step(row[None, :2], row[None, 2:], *carry)
        expected = np.concatenate([state[0], *(part.reshape(-1) for part in carry)])
        scale = max(1.0, float(np.abs(row).max()))  # float32 tells 1e4 rad to 1e-3
        off = np.abs(wrapped(mine - expected, angle))
        assert (off <= 1e-6 * scale * np.maximum(1.0, np.abs(expected))).all()


def test_it_needs_no_more_than_math_h_and_allocates_nothing(folder):
    source = built(folder)
    command = [compiler(), *STRICT, "-c", "step.c", "-o", "step.o"]
    subprocess.run(command, cwd=folder, check=True)
    listed = subprocess.run(
        ["nm", "-u", "step.o"], cwd=folder, capture_output=True, text=True, check=True
    )
    expected = {line.split()[-1] for line in listed.stdout.splitlines()}
    allowed = {"memcpy", "memset", "sinf", "cosf", "rintf", "sqrtf", "expf", "erff", "expm1f"}
    assert expected <= allowed | {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    assert source.weights >= 4 * source.multiplications
    assert source.scratch < 4096
    (folder / "main").unlink()


def test_a_compiled_rollout_is_that_of_the_onnx_file_for_any_batch(folder):
    plain, quick = load(folder / "rollout.onnx"), load(folder / "rollout.onnx", engine="c")
    assert (plain.engine, quick.engine[:5]) == ("ONNX Runtime", "C by ")
    for rows in (1, 2, 3, 16, 37):
        inputs = [part.numpy() for part in batch(rows, 4, 25)]
        off = quick.rollout(*inputs) - plain.rollout(*inputs)
        assert np.abs(wrapped(off, np.array([True, False]))).max() < 2e-5
    inputs[0][0, 0, 0] = np.inf
    with pytest.raises(BadInput, match="is inf"):
        quick.rollout(*inputs)


def test_comments_of_the_header_are_readable_and_cannot_end_early(gru_folder):
    header = generate((gru_folder / "step.onnx").read_bytes()).header
    assert " * state[0]: angle, rad\n * state[1]: velocity, rad/s\n" in header
    assert " * action[0]: torque, N*m\n" in header
    declared = header.index("void pendulum_step")
    assert header.index('extern "C" {') < declared < header.index("#ifdef __cplusplus\n}")
    assert comment("a: m/s², kg·m") == " * a: m/s^2, kg*m\n"
    assert comment("a\\ */ /* ??/ é") == " * a_ * / / * _/ _\n"


def test_a_step_that_needs_too_much_stack_is_refused(step_folders, monkeypatch):
    folder = step_folders["mlp"]
    monkeypatch.setattr(source, "STACK", 256)
    with pytest.raises(BadInput, match=r"needs \d+ bytes of stack; expected at most 256"):
        generate((folder / "step.onnx").read_bytes())


def test_c_with_another_weight_is_refused(step_folders, tmp_path):
    folder = shutil.copytree(step_folders["mlp"], tmp_path / "model")
    changed = onnx.load(folder / "step.onnx")
    for item in changed.graph.initializer:
        if item.name.endswith("head.weight"):
            values = onnx.numpy_helper.to_array(item).copy()
            values[0, 0] *= -1.0
            item.CopyFrom(onnx.numpy_helper.from_array(values, item.name))
    with pytest.raises(Blocked, match=r"step.c: differs from step.onnx by up to"):
        parity.write_c99(folder, changed.SerializeToString())
    with pytest.raises(BadInput, match="differs from the ONNX file"):
        load(folder / "rollout.onnx").use_compiled(compile_rollout(changed.SerializeToString()))


def test_c_is_compared_near_the_parity_cases(step_folders, tmp_path):
    """A position of 300 mm is rounded to 3e-5 mm, far from N(0, 1) in units of the task."""
    folder = shutil.copytree(step_folders["mlp"], tmp_path / "model")
    compiled = parity.Compiled(folder, built(folder))
    inputs = list[np.ndarray]()

    def step(state, action, carry, after):
        inputs.append(np.concatenate([state, action[:1]]))
        compiled(state, action, carry, after)

    step.outputs = None
    shapes = {"states": (1, 4, 2), "past_actions": (1, 3, 1), "actions": (1, 5, 1)}
    cases = {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}
    assert parity.compare(step, load(folder / "rollout.onnx"), cases) < 1e-5
    assert np.unique(np.stack(inputs), axis=0).tolist() == [[0.5, 0.5, 0.5]]


def test_what_cannot_be_compiled_runs_in_onnx_and_says_so(
    step_folders, tmp_path, monkeypatch, caplog
):
    folder = step_folders["mlp"]
    rollout._compiled.cache_clear()
    monkeypatch.delitem(OPERATIONS, "Tanh")
    assert load(folder / "rollout.onnx", engine="auto").engine == "ONNX Runtime"
    assert "runs in ONNX Runtime, not compiled: C99: " in caplog.text
    with pytest.raises(BadInput, match="cannot be compiled"):
        load(folder / "rollout.onnx", engine="c")
    caplog.clear()
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))  # where no compiler is
    assert load(folder / "rollout.onnx", engine="auto").engine == "ONNX Runtime"
    assert "C compiler: is not installed" in caplog.text
