"""Training steps, compiled and in eager mode, against a training loop as users of torch write it.

A step gathers windows, rolls out, and updates with AdamW and clipping. The plain loop trains the
same network on the same features. Steps are measured in CPU seconds of one thread.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import ROUNDS, Row, main, paired, repeat
from benchmarks._exports import make_scale
from kinemill.task import load_task
from kinemill.train.build import assemble
from kinemill.train.compiled import has_compiler
from kinemill.train.data import Windows
from kinemill.train.devices import single_thread
from kinemill.train.layout import Layout, layout_of
from kinemill.train.objective import Objective
from kinemill.train.objectives._rollouts import Rollouts
from kinemill.train.optimizer_step import as_program, one_by_one
from kinemill.train.training_state import Training

WINDOWS = 8192
CLIP = 1.0
MLP = {"type": "mlp", "hidden_sizes": [64, 64, 64]}
GRU = {"type": "gru", "hidden_size": 128}
# model, history, horizon, batch, steps a round, whether the compiled step is measured as well
CASES = [
    (MLP, 8, 1, 32, 200, True),
    (MLP, 8, 1, 256, 100, False),
    (GRU, 11, 9, 32, 20, False),
]

Step = Callable[[], float]


def measure(cases: Any = CASES, rounds: int = ROUNDS) -> list[Row]:
    """Return windows learned by a CPU second."""
    with single_thread():
        return [line for case in cases for line in _measure(*case, rounds=rounds)]


def _measure(
    model: dict[str, Any],
    history: int,
    horizon: int,
    batch: int,
    steps: int,
    compiles: bool,
    rounds: int,
) -> list[Row]:
    overrides = {"learn.history": history, "learn.horizon": horizon, "learn.horizon_schedule": None}
    task = load_task("cart_pole", overrides | {"learn.model": model})
    layout = layout_of(task)
    windows = _windows(layout, history, horizon)
    sizes = model.get("hidden_sizes") or model["hidden_size"]
    work = f"{model['type'].upper()} {sizes}, history {history}, horizon {horizon}, batch {batch}"
    plain = repeat(_plain_step(model, layout, windows, batch), steps)
    ways = {"compiled": as_program} if compiles and has_compiler() else {}
    return [
        paired(
            f"{way} {work}",
            "windows/CPU s",
            steps * batch,
            {
                "ours": repeat(_our_step(task, layout, windows, batch, make), steps),
                "plain torch loop": plain,
            },
            rounds,
        )
        for way, make in {**ways, "eager": one_by_one}.items()
    ]


def _windows(layout: Layout, history: int, horizon: int) -> Windows:
    columns = len(layout.states) + len(layout.actions)
    shape = WINDOWS + history + horizon, columns
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    starts = torch.arange(WINDOWS)
    return Windows(torch.from_numpy(values), starts, history, horizon, len(layout.states))


def _batches(size: int) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(WINDOWS).split(size)


def _our_step(
    task: Any, layout: Layout, windows: Windows, batch: int, make: Callable[..., Any]
) -> Step:
    """Return a step as `kinemill.train.loop` makes it."""
    module = assemble(task.learn, layout, make_scale(layout))
    rollouts = Rollouts(task.learn, module, windows, windows)
    objective = Objective(rollouts.loss, rollouts.evaluate, "validation/multi_step", WINDOWS)
    optimizer = task.learn.optimizer.build(module.parameters())
    update = make(Training(module, optimizer, None, None), objective, task.learn)
    batches = _batches(batch)
    return lambda: update(next(batches).unsqueeze(0), 0)


class _Plain(nn.Module):
    """A dynamics model: features of a window of rows -> change of the state in one time step."""

    def __init__(self, model: dict[str, Any], layout: Layout, history: int) -> None:
        super().__init__()
        self.states = len(layout.states)
        self.history = history
        self.register_buffer("angles", torch.tensor(layout.angles))
        self.is_recurrent = model["type"] == "gru"
        if self.is_recurrent:
            self.cell = nn.GRUCell(layout.features, model["hidden_size"])
            self.head = nn.Linear(model["hidden_size"], self.states)
        else:
            sizes = [history * layout.features, *model["hidden_sizes"]]
            layers = [part for m, n in pairwise(sizes) for part in (nn.Linear(m, n), nn.Tanh())]
            self.head = nn.Sequential(*layers, nn.Linear(sizes[-1], self.states))

    def features(self, rows: Tensor) -> Tensor:
        angles = rows[..., : self.states][..., self.angles]
        others = rows[..., : self.states][..., ~self.angles]
        return torch.cat([angles.cos(), angles.sin(), others, rows[..., self.states :]], -1)

    def forward(self, window: Tensor) -> Tensor:
        """Return the mean squared error of rollouts over windows (B, H + T, C)."""
        past = window[:, : self.history]
        future = window[:, self.history :]
        state = past[:, -1, : self.states]
        memory = past.new_zeros(len(window), self.head.in_features) if self.is_recurrent else None
        rows = self.features(past).unbind(1)
        for features in rows if self.is_recurrent else ():
            memory = self.cell(features, memory)
        predicted = []
        for action in future[..., self.states :].unbind(1):
            state = state + self.head(memory if self.is_recurrent else torch.cat(rows, -1))
            predicted.append(state)
            if len(predicted) == future.shape[1]:
                break
            features = self.features(torch.cat([state, action], -1))
            rows = (*rows[1:], features)
            memory = self.cell(features, memory) if self.is_recurrent else None
        return (torch.stack(predicted, 1) - future[..., : self.states]).square().mean()


def _plain_step(model: dict[str, Any], layout: Layout, windows: Windows, batch: int) -> Step:
    """Return a step whose windows are gathered by their first rows."""
    network = _Plain(model, layout, windows.history)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    offsets = torch.arange(windows.history + windows.horizon)
    batches = _batches(batch)

    def step() -> float:
        optimizer.zero_grad()
        loss = network(windows.values[windows.starts[next(batches)].unsqueeze(1) + offsets])
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    main("train", measure)
