"""Training steps: gathered windows and a compiled step, against per-item loading.

The time of compilation is a separate row, without torch's cache of earlier compilations:
`learn.compile: auto` compiles only if that saves time.
"""

import tempfile
import time
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import Row, interleaved, main, row
from kinemill.task import load_task
from kinemill.train.build import assemble
from kinemill.train.compiled import compiled, has_compiler
from kinemill.train.data import Windows
from kinemill.train.devices import single_thread
from kinemill.train.layout import layout_of

WINDOWS, CLIP, RATE = 8192, 1.0, 1e-4
MLP = {"type": "mlp", "hidden_sizes": [64, 64, 64]}
GRU = {"type": "gru", "hidden_size": 128}
# model, history, horizon, batch, steps a round
CASES = [
    (MLP, 8, 1, 32, 200),
    (MLP, 8, 1, 256, 100),
    ({"type": "mlp", "hidden_sizes": [128, 128]}, 10, 25, 256, 4),
    (GRU, 11, 9, 32, 20),
]


def measure() -> list[Row]:
    """Return windows learned from a second, and seconds to compile."""
    with (
        tempfile.TemporaryDirectory() as cache,
        mock.patch.dict("os.environ", TORCHINDUCTOR_CACHE_DIR=cache),
        single_thread(),
    ):
        return [row for case in CASES for row in _measure(*case)]


def _measure(model, history, horizon, batch, steps) -> list[Row]:
    overrides = {"learn.history": history, "learn.horizon": horizon, "learn.horizon_schedule": None}
    overrides |= {"learn.model": model}
    task = load_task("cart_pole", overrides)
    layout = layout_of(task)
    windows = _windows(task, layout)
    cases, done = {}, list[Row]()
    if has_compiler():
        began = time.perf_counter()
        cases["ours"] = _Compiled(task, layout, windows, batch)
        cases["ours"](1)
        spent = time.perf_counter() - began
        done = [row(f"compile {_named(task)}, batch {batch}", "s", spent, {})]
    cases["torch eager"] = _Eager(task, layout, windows, batch)
    cases["DataLoader over TensorDataset"] = _Loaded(task, layout, windows, batch)
    if model is GRU:
        cases["DataLoader, window re-encoded at each step"] = _Reencoding(layout, windows, batch)
    seconds = interleaved({name: lambda work=work: work(steps) for name, work in cases.items()})
    rate = {name: steps * batch / value for name, value in seconds.items()}
    ours = rate.pop("ours", rate["torch eager"])
    return [row(f"train {_named(task)}, batch {batch}", "windows/s", ours, rate), *done]


def _named(task) -> str:
    learn = task.learn
    sizes = getattr(learn.model, "hidden_sizes", None) or learn.model.hidden_size
    kind = learn.model.type.upper()
    return f"{kind} {sizes}, history {learn.history}, horizon {learn.horizon}"


def _windows(task, layout) -> Windows:
    rows = layout.history + task.learn.horizon
    columns = len(layout.states) + len(layout.actions)
    values = np.random.default_rng(0).normal(size=(WINDOWS + rows, columns)).astype(np.float32)
    starts = torch.arange(WINDOWS)
    counts = layout.history, task.learn.horizon, len(layout.states)
    return Windows(torch.from_numpy(values), starts, *counts)


def _step(task, layout):
    states, columns = len(layout.states), layout.features
    ones = {"state_std": states, "feature_std": columns, "output_std": len(layout.outputs)}
    zeros = {"feature_mean": columns, "output_mean": len(layout.outputs)}
    scale = {name: torch.ones(size) for name, size in ones.items()}
    scale |= {name: torch.zeros(size) for name, size in zeros.items()}
    return assemble(task.learn, layout, scale)


def _order(batch):
    while True:
        order = torch.randperm(WINDOWS)
        yield from order.split(batch)


class _Eager:
    """Windows gathered by their numbers; every operation on its own."""

    def __init__(self, task, layout, windows, batch):
        self.module, self.windows, self.batches = _step(task, layout), windows, _order(batch)
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=RATE, fused=True)

    def loss(self, which):
        return self.error(*self.windows.gather(which))

    def error(self, states, past, actions, truth):
        prediction = self.module.rollout(states, past, actions)
        return self.module.wrap(prediction - truth).square().mean()

    def update(self, loss):
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        self.optimizer.step()
        loss.item()

    def __call__(self, steps):
        for _ in range(steps):
            self.update(self.loss(next(self.batches)))


class _Compiled(_Eager):
    """The whole step as one program, as `learn.compile` has it."""

    def __init__(self, task, layout, windows, batch):
        super().__init__(task, layout, windows, batch)
        self.program = compiled(self.module, self.loss, self.optimizer, CLIP)

    def __call__(self, steps):
        for _ in range(steps):
            loss, norm = self.program(next(self.batches), RATE)
            float(loss), float(norm)


class _Loaded(_Eager):
    """The same model fed by torch's own loader, item by item."""

    def __init__(self, task, layout, windows, batch):
        super().__init__(task, layout, windows, batch)
        items = TensorDataset(*windows.gather(torch.arange(WINDOWS)))
        self.loader = DataLoader(items, batch_size=batch, shuffle=True)
        self.feed = iter(())

    def next(self):
        try:
            return next(self.feed)
        except StopIteration:
            self.feed = iter(self.loader)
            return next(self.feed)

    def __call__(self, steps):
        for _ in range(steps):
            self.update(self.error(*self.next()))


class _Reencoding(_Loaded):
    """torch's GRU over the last H rows at every step of a rollout, as hydrax's training does."""

    def __init__(self, layout, windows, batch):
        self.module = nn.ModuleDict(
            {
                "gru": nn.GRU(layout.features, GRU["hidden_size"], batch_first=True),
                "head": nn.Linear(GRU["hidden_size"], len(layout.outputs)),
            }
        )
        self.angles = torch.tensor(layout.angles)
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=RATE, fused=True)
        items = TensorDataset(*windows.gather(torch.arange(WINDOWS)))
        self.loader = DataLoader(items, batch_size=batch, shuffle=True)
        self.feed = iter(())

    def error(self, states, past, actions, truth):
        all_actions = torch.cat([past, actions], dim=1)
        length, predictions = states.shape[1], []
        for k in range(actions.shape[1]):
            rows = torch.cat([self.encoded(states), all_actions[:, k : k + length]], dim=2)
            output, _ = self.module["gru"](rows)
            state = states[:, -1] + self.module["head"](output[:, -1])
            predictions.append(state)
            states = torch.cat([states[:, 1:], state.unsqueeze(1)], dim=1)
        return (torch.stack(predictions, dim=1) - truth).square().mean()

    def encoded(self, states):
        angle = states[..., self.angles]
        return torch.cat([torch.cos(angle), torch.sin(angle), states[..., ~self.angles]], dim=-1)


if __name__ == "__main__":
    main("train", measure)
