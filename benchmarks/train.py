"""Training steps, compiled and in eager mode, against a training loop as users of torch write it.

A step gathers windows, rolls out, and updates with AdamW and clipping. Peers train the same network
on the same features: a plain loop, the same with `torch.compile` of the loss, and JAX, if
`python -m benchmarks._peers` has installed it. Steps are measured in CPU seconds of one thread. The
time of compilation is without torch's cache of earlier compilations.
"""

import tempfile
from collections.abc import Callable, Iterator
from itertools import count, islice, pairwise
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import ROUNDS, Row, cpu_seconds, main, paired, repeat
from benchmarks._exports import make_scale
from benchmarks._jax_peer import scanned
from benchmarks._peers import peer
from kinemill.task import NullReporter, load_task
from kinemill.train.build import assemble
from kinemill.train.compiled import has_compiler
from kinemill.train.data import Windows
from kinemill.train.devices import single_thread
from kinemill.train.layout import Layout, layout_of
from kinemill.train.loop import batches_of
from kinemill.train.objective import Objective
from kinemill.train.objectives._rollouts import Rollouts
from kinemill.train.optimizer_step import Steps
from kinemill.train.training_state import Training

WINDOWS = 8192
CLIP = 1.0
MLP = {"type": "mlp", "hidden_sizes": [64, 64, 64]}
WIDE = {"type": "mlp", "hidden_sizes": [128, 128]}
GRU = {"type": "gru", "hidden_size": 128}
# model, history, horizon, batch, steps a round
CASES = [
    (MLP, 8, 1, 32, 200),
    (MLP, 8, 1, 256, 100),
    (WIDE, 10, 25, 256, 4),
    (GRU, 11, 9, 32, 20),
]

Step = Callable[[], float]


def measure(cases: Any = CASES, rounds: int = ROUNDS) -> list[Row]:
    """Return windows learned by a CPU second, and CPU seconds to compile."""
    with (
        tempfile.TemporaryDirectory() as cache,
        mock.patch.dict("os.environ", TORCHINDUCTOR_CACHE_DIR=cache),
        single_thread(),
    ):
        return [line for case in cases for line in _measure(*case, rounds=rounds)]


def _measure(
    model: dict[str, Any], history: int, horizon: int, batch: int, steps: int, rounds: int
) -> list[Row]:
    overrides = {"learn.history": history, "learn.horizon": horizon, "learn.horizon_schedule": None}
    task = load_task("cart_pole", overrides | {"learn.model": model})
    layout = layout_of(task)
    windows = _windows(layout, history, horizon)
    sizes = model.get("hidden_sizes") or model["hidden_size"]
    work = f"{model['type'].upper()} {sizes}, history {history}, horizon {horizon}, batch {batch}"
    plain = {"plain torch loop": _plain_step(model, layout, windows, batch)}
    lines: list[Row] = []
    if has_compiler():
        plain["torch.compile of the loss"] = _plain_step(
            model, layout, windows, batch, compiles=True
        )
        ours = _our_steps(task, layout, windows, batch, compiles=True)
        compiled = f"compiled in {cpu_seconds(lambda: ours(1)):.0f} CPU s: {work}"
        peers = {name: repeat(step, steps) for name, step in plain.items()}
        if jax := peer("jax"):
            network = _Plain(model, layout, history)
            rows = history + horizon
            peers["JAX, lax.scan"] = scanned(
                jax, network, windows.values, rows, _batches(batch), steps
            )
        cases = {"ours": lambda: ours(steps), **peers}
        lines = [paired(compiled, "windows/CPU s", steps * batch, cases, rounds)]
    eager = _our_steps(task, layout, windows, batch, compiles=False)
    loop = repeat(plain["plain torch loop"], steps)
    cases = {"ours": lambda: eager(steps), "plain torch loop": loop}
    return [*lines, paired(f"eager: {work}", "windows/CPU s", steps * batch, cases, rounds)]


def _windows(layout: Layout, history: int, horizon: int) -> Windows:
    columns = len(layout.states) + len(layout.actions)
    shape = WINDOWS + history + horizon, columns
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    starts = torch.arange(WINDOWS)
    return Windows(torch.from_numpy(values), starts, history, horizon, len(layout.states))


def _batches(size: int) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(WINDOWS).split(size)


def _our_steps(
    task: Any, layout: Layout, windows: Windows, batch: int, *, compiles: bool
) -> Callable[[int], object]:
    """Return a call that makes steps as `kinemill.train.loop` does, and collects their losses."""
    settings = {"batch_size": batch, "compile": "on" if compiles else "off"}
    learn = task.learn.model_copy(update=settings)
    module = assemble(learn, layout, make_scale(layout))
    rollouts = Rollouts(learn, module, windows, windows)
    monitor = "validation/multi_step"
    objective = Objective(rollouts.loss, rollouts.evaluate, monitor, WINDOWS, steady=True)
    training = Training(module, learn.optimizer.build(module.parameters()), None, None)
    batches = batches_of(objective, learn)
    update = Steps(training, objective, learn.with_steps(WINDOWS), NullReporter(), batches)
    numbers = count()

    def make(steps: int) -> None:
        for number in islice(numbers, steps):
            update(number)
        update.collect()

    return make


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


def _plain_step(
    model: dict[str, Any], layout: Layout, windows: Windows, batch: int, *, compiles: bool = False
) -> Step:
    """Return a step whose windows are gathered by their first rows."""
    network = _Plain(model, layout, windows.history)
    offsets = torch.arange(windows.history + windows.horizon)
    measure_loss: Any = torch.compile(network) if compiles else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    batches = _batches(batch)

    def step() -> float:
        optimizer.zero_grad()
        gathered = windows.values[windows.starts[next(batches)].unsqueeze(1) + offsets]
        loss = measure_loss(gathered)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    main("train", measure)
