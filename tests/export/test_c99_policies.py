"""C99 code of a policy gives the actions of its ONNX file, compiled strictly with sanitizers."""

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks._policies import Chooser, Gains, Looking, Sampler, published
from kinemill.errors import BadInput, Blocked
from kinemill.export.bundle import deliver
from kinemill.export.c99 import parity
from kinemill.export.c99.compiler import compiler
from kinemill.export.c99.policy_source import generate_policy
from kinemill.export.policy import describe, write_policy
from kinemill.export.policy_cases import random_inputs
from kinemill.policies.environments.graph import Normalized, Scaled, Stacked, Turned
from kinemill.policies.imitation.bc_setup import assemble
from kinemill.policies.rl.actor import Actor
from kinemill.policies.rl.networks import LSTMCore, Perceptron
from kinemill.runtime import load
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.runtime.policy_self_test import play
from kinemill.task.export import Export
from kinemill.task.plugins import OBJECTIVES
from tests.export.test_c99 import SANE, STRICT, run
from tests.policies.motion.policies import SERVOS, of_clips, of_gaits

# Reads rows of inputs; writes rows of action and carry.
DRIVER = """
#include "policy.h"
#include <stdio.h>
#ifndef {big}_MASK
#define {big}_MASK 0
#endif
int main(void)
{{
    float in[{big}_OBSERVATIONS + {big}_MASK], carry[{big}_CARRY + 1] = {{0}};
    while (fread(in, sizeof in, 1, stdin) == 1) {{
        float action[{big}_ACTIONS];
        {call};
        fwrite(action, sizeof action, 1, stdout);
        fwrite(carry, sizeof(float), {big}_CARRY, stdout);
    }}
    return 0;
}}
"""


def squashed():
    """A perceptron with squashed actions within limits, like that of SAC."""
    torch.manual_seed(0)
    names, actions = ("x", "y", "z"), ("left", "right")
    units = dict.fromkeys([*names, *actions], "1")
    layout = PolicyLayout(0.1, names, actions, units, {"left": (-2.0, 5.0), "right": (0.0, 1.0)})
    return Actor(layout, [], Perceptron([3, 33, 20, 2], "relu"), "squashed").eval()


def remembering():
    """An LSTM with two actions of four and three choices."""
    torch.manual_seed(0)
    names, actions = ("x", "y"), ("gear", "lamp")
    layout = PolicyLayout(
        0.1, names, actions, dict.fromkeys([*names, *actions], "1"), choices=(4, 3)
    )
    core = LSTMCore(2, 6, [8, 7], "tanh")
    with torch.no_grad():
        for weights in core.parameters():
            weights.mul_(3.0)  # else it chooses nearly always the same
    return Actor(layout, [], core, "limits").eval()


def wrapped():
    """A squashed perceptron with stacked, normalized observations and scaled actions."""
    torch.manual_seed(0)
    names, actions = ("x", "angle"), ("left", "right")
    units = dict.fromkeys([*names, *actions], "1")
    limits = {"left": (-2.0, 5.0), "right": (0.0, 1.0)}
    layout = PolicyLayout(0.1, names, actions, units, limits)
    normalized = Normalized(6)
    normalized.load({"mean": torch.linspace(-1.0, 1.0, 6), "std": torch.linspace(0.5, 3.0, 6)})
    scaled = Scaled(6, list(zip(*limits.values(), strict=True)))
    adapters = [Turned(2, [1]), Stacked(3, 2), normalized, scaled]
    return Actor(layout, adapters, Perceptron([6, 12, 2], "tanh"), "squashed").eval()


def gru():
    """A GRU for imitation, with scaled numbers, a queue of planned actions, and limits."""
    torch.manual_seed(0)
    learn = OBJECTIVES["imitation"].model_validate(
        {
            "type": "imitation",
            "model": {"type": "gru", "hidden_size": 12},
            "chunk": {"length": 4, "n_action_steps": 2},
        }
    )
    names, actions = ("x", "y"), ("push", "turn")
    layout = PolicyLayout(
        0.1, names, actions, dict.fromkeys([*names, *actions], "1"), {"push": (-1.0, 0.5)}
    )
    scale = {
        "observation_mean": torch.tensor([1.0, -2.0]),
        "observation_std": torch.tensor([0.5, 4.0]),
        "action_mean": torch.tensor([0.2, -3.0]),
        "action_std": torch.tensor([4.0, 2.0]),
    }
    return assemble(learn, {"layout": layout.to_json(), "words": [], "angles": []}, scale).eval()


KINDS = {
    "clips": of_clips,
    "gaits": of_gaits,
    "wrapped": wrapped,
    "gru": gru,
    "memory": Gains,
    "masked": Chooser,
    "squashed": squashed,
    "recurrent": remembering,
}


QUICK = {"masked"}  # compilation takes seconds


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow]) for kind in KINDS
    ],
)
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    return published(KINDS[request.param](), folder, c99=True)


@pytest.fixture(scope="module")
def act(made):
    """Return a function that runs the compiled policy, with sanitizers, on rows."""
    with compiled(made, *SANE) as run_rows:
        yield run_rows


@contextmanager
def compiled(folder, *flags):
    """Compile policy.c as in a microcontroller project; yield a function that runs it on rows."""
    source = generate_policy((folder / "policy.onnx").read_bytes())
    assert (folder / "policy.c").read_text() == source.code
    big = source.name.upper()
    masked = f", in + {big}_OBSERVATIONS" if f"{big}_MASK" in source.header else ""
    call = f"{source.name}_act(in{masked}, carry, action)"
    with tempfile.TemporaryDirectory() as folder_name:
        for name in ("policy.c", "policy.h"):
            shutil.copy(folder / name, folder_name)
        (Path(folder_name) / "main.c").write_text(DRIVER.format(big=big, call=call))
        files = ["main.c", "policy.c", "-o", "main", "-lm"]
        subprocess.run([compiler(), *STRICT, *flags, *files], cwd=folder_name, check=True)
        yield partial(run, Path(folder_name) / "main")


def test_the_c_acts_as_the_onnx_file_under_sanitizers(made, act):
    policy = load(made)
    drawn = random_inputs(policy.interface, 3, 200, seed=9)
    inputs = {name: part[2:] for name, part in drawn.items()}  # the first are zeros
    expected = play(policy, inputs)[0]
    rows = np.concatenate([part[0] for part in inputs.values()], axis=1)
    result = act(rows)[:, : expected.shape[1]]
    assert result == pytest.approx(expected, abs=1e-5)
    assert len(np.unique(result, axis=0)) > 2


def test_a_nan_that_goes_in_comes_out_everywhere(made, act):
    policy = load(made)
    width = sum(shape[0] for shape, _ in policy.interface.shapes().values())
    for column in range(width):
        row = np.zeros((1, width))
        row[0, column] = np.nan
        assert np.isnan(act(row)).all()


def test_the_header_names_channels_units_and_limits(made):
    header = (made / "policy.h").read_text()
    interface = load(made).interface
    for name in (*interface.layout.observation, *interface.layout.actions):
        assert f"]: {name}, {interface.layout.units[name]}" in header
    for low, high in interface.limits.values():
        assert f", {low:g} to {high:g}" in header


@pytest.mark.slow
def test_the_header_has_the_gains_of_servos_and_the_safe_action(tmp_path):
    policy = of_clips()
    interface = describe(policy, "dog", "d" * 64)
    write_policy(policy, interface, tmp_path, Export(c99=True), more={"servos": SERVOS})
    header = (tmp_path / "policy.h").read_text()
    assert "#define DOG_KP {20.0f, 21.0f, 22.0f, 23.0f} /* N m/rad" in header
    assert "#define DOG_LIMIT {FLT_MAX, FLT_MAX, FLT_MAX, FLT_MAX} /* N m;" in header
    assert "#define DOG_SAFE_ACTION {0.0f, 0.0f, 0.0f, 0.0f}" in header


def test_the_summary_says_what_a_microcontroller_needs(tmp_path):
    published(Gains(), tmp_path)
    facts = parity.write_policy_c99(tmp_path, (tmp_path / "policy.onnx").read_bytes())
    assert facts.multiplications == 6
    assert facts.weights >= 4 * 7
    assert 0 < facts.scratch < 4096
    assert facts.difference < 1e-5
    assert 0.0 < facts.latency_us.p50 <= facts.latency_us.p99 <= facts.latency_us.worst


def test_a_bundle_of_a_policy_is_delivered_with_c(tmp_path):
    folder = published(Gains(), tmp_path / "from")
    delivery = deliver(folder, tmp_path / "to", c99=True)
    assert {"policy.c", "policy.h"} <= set(delivery.files)
    assert delivery.c99 is not None


def test_c_that_acts_otherwise_is_refused(tmp_path, monkeypatch):
    folder = published(Gains(), tmp_path)
    generate = parity.generate_policy

    def wrong(model):
        source = generate(model)
        code = source.code.replace("action[i] = out[i]", "action[i] = 1.01f * out[i]")
        assert code != source.code
        return replace(source, code=code)

    monkeypatch.setattr(parity, "generate_policy", wrong)
    with pytest.raises(Blocked, match=r"policy\.c: differs from the trained policy by up to"):
        parity.write_policy_c99(folder, (folder / "policy.onnx").read_bytes())


@pytest.mark.parametrize(("kind", "named"), [(Sampler, "seed"), (Looking, "")])
def test_what_reads_images_or_draws_is_refused(kind, named, tmp_path):
    with pytest.raises(BadInput, match=rf"C99: the policy reads .*{named}"):
        published(kind(), tmp_path, c99=True)
