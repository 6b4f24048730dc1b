"""Classes and functions of a notebook as own code: their source, and what has none."""

import functools
import linecache
import math
import types

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import kinemill.api as km
from kinemill.api.source_capture import capture
from kinemill.errors import BadInput
from tests.api.conftest import logs_of, rod

GAIN = 2.0
TABLE = np.zeros(3)


def gate(values: Tensor) -> Tensor:
    return functional.relu(values) * GAIN + math.pi


class Base(nn.Module):
    pass


class Net(Base):
    """A net of a notebook."""

    def __init__(self, inputs: int, outputs: int, history: int, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs * history, width), nn.Tanh(), nn.Linear(width, outputs)
        )

    def forward(self, rows: Tensor) -> Tensor:
        return gate(self.layers(rows)) / GAIN


def huber(error: Tensor, delta: float = 1.0) -> Tensor:
    zeros = torch.zeros_like(error)
    return functional.huber_loss(error, zeros, reduction="none", delta=delta)


def scaled(values, signals, random, std: float = 0.1):
    """Scale all values."""
    del signals
    return values * random.uniform(1 - std, 1 + std)


def fast(values, dt, most: float = 1e3):
    """No rod is that fast."""
    del dt
    return np.abs(values["velocity"]) > most


def angles(channels):
    angle = channels["angle"]
    return {"s": angle.sin(), "c": angle.cos(), "v": channels["velocity"], "u": channels["torque"]}


def uses_an_array(error):
    return error * torch.from_numpy(TABLE)


def run(source: str) -> types.SimpleNamespace:
    """Run captured source alone, as a training process does."""
    names: dict[str, object] = {}
    exec(source, names)
    return types.SimpleNamespace(**names)


def test_a_source_holds_what_it_names():
    own = capture(functools.partial(Net, width=5), "objects.model")
    assert (own["type"], own["width"]) == ("Net.py:Net", 5)
    module = run(own["source"])
    torch.manual_seed(0)
    net = module.Net(3, 2, 4, width=5)
    torch.manual_seed(0)
    rows = torch.randn(6, 4, 3)
    torch.manual_seed(0)
    torch.testing.assert_close(module.Net(3, 2, 4)(rows).shape, torch.Size([6, 2]))
    assert module.gate(torch.ones(())) == pytest.approx(2.0 + math.pi)
    assert len(list(net.parameters())) == 4


def test_a_source_does_not_depend_on_its_place():
    """The digest of the source is part of the stage key: other cells must not change it."""
    assert capture(huber, "x") == capture(huber, "x")
    assert "scaled" not in capture(huber, "x")["source"]


def test_a_cell_of_a_notebook_has_a_source():
    """IPython keeps the text of cells in `linecache`; `inspect` finds no class in them."""
    text = "class Cell:\n    def forward(self, rows):\n        return rows + OFFSET\n"
    linecache.cache["<ipython-input-1>"] = (len(text), None, text.splitlines(True), "<ipython>")
    names = {"__name__": "__main__", "OFFSET": 3}
    exec(compile(text, "<ipython-input-1>", "exec"), names)
    import sys

    main = sys.modules["__main__"]
    main.OFFSET = 3
    try:
        assert run(capture(names["Cell"], "x")["source"]).Cell().forward(1) == 4
    finally:
        del main.OFFSET, linecache.cache["<ipython-input-1>"]


def test_a_closure_is_captured_with_its_numbers():
    factor = 4

    def times(error):
        return error * factor

    assert run(capture(times, "x")["source"]).times(2) == 8


def test_what_has_no_source_is_refused():
    prompt = {"__name__": "__main__"}
    exec("def typed(error): return error", prompt)
    cases = [
        (lambda error: error, "is a lambda"),
        (math.sin, "is a builtin_function_or_method; expected a class or function"),
        (3, "is a int"),
        (functools.partial(huber, 1), "positional arguments"),
        (uses_an_array, "uses 'TABLE', a ndarray, which has no source"),
        (prompt["typed"], "typed: has no source .* interactive prompt"),
    ]
    for thing, message in cases:
        with pytest.raises(BadInput, match=f"objects.loss.*{message}"):
            capture(thing, "objects.loss")


def test_objects_are_own_code_of_the_task(in_rod_home):
    objects = km.Objects(
        model=functools.partial(Net, width=6),
        loss=huber,
        features=angles,
        augment=[functools.partial(scaled, std=0.05)],
        checks={"fast": fast},
    )
    training = km.train(rod(), logs_of(0, 1, 2, 3, 4), objects=objects, progress=False, track=False)
    learn = training.task.learn
    assert (learn.model.width, learn.loss.delta, training.task.augment[0].std) == (6, 1.0, 0.05)
    again = km.train(training.task, logs_of(0, 1, 2, 3, 4), progress=False, track=False)
    assert again.cached  # the task holds the code
    assert km.load_task("rod").learn.model.type == "Net.py:Net"  # found by commands
