"""Training steps of the double pendulum's MLP: gathered windows against per-item loading."""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import Row, interleaved, main, one_thread, row
from kinemill.spec import load_task
from kinemill.train.data import Windows
from kinemill.train.layout import make_layout
from kinemill.train.step import Step

STEPS, BATCH, WINDOWS = 10, 256, 8000


def measure() -> list[Row]:
    """Return windows learned from a second: one-step and 25-step objective."""
    return [_measure(horizon) for horizon in (1, 25)]


def _measure(horizon) -> Row:
    task = load_task("double_pendulum", {"learn.horizon": horizon})
    learn = task.learn
    layout = make_layout(task, learn.outputs, learn.integrator, learn.history)
    rows = layout.history + learn.horizon
    values = np.random.default_rng(0).normal(size=(WINDOWS + rows, 6)).astype(np.float32)
    windows = Windows(
        torch.from_numpy(values), torch.arange(WINDOWS), layout.history, learn.horizon, 4
    )
    items = DataLoader(
        TensorDataset(*windows.gather(torch.arange(WINDOWS))), batch_size=BATCH, shuffle=True
    )
    with one_thread():
        seconds = interleaved(
            {
                "ours": lambda: _gathered(_model(learn, layout), windows),
                "DataLoader over TensorDataset": lambda: _loaded(_model(learn, layout), items),
            }
        )
    rate = {name: STEPS * BATCH / value for name, value in seconds.items()}
    ours = rate.pop("ours")
    work = f"MLP {learn.model.hidden_sizes}, history {layout.history}, horizon {learn.horizon}"
    return row(f"train {work}, batch {BATCH}", "windows/s", ours, rate)


def _model(learn, layout):
    torch.manual_seed(0)
    spread = {"state": len(layout.states), "action": len(layout.actions), "output": 4}
    scale = {f"{name}_mean": torch.zeros(n) for name, n in spread.items()}
    scale |= {f"{name}_std": torch.ones(n) for name, n in spread.items()}
    network = learn.model.build(layout.features, len(layout.outputs), layout.history)
    module = Step(layout, network, scale)
    return module, torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)


def _update(model, batch):
    module, optimizer = model
    states, past_actions, actions, truth = batch
    optimizer.zero_grad()
    error = module.wrap(module.rollout(states, past_actions, actions) - truth)
    error.square().mean().backward()
    optimizer.step()


def _gathered(model, windows):
    order = torch.randperm(WINDOWS)
    for step in range(STEPS):
        _update(model, windows.gather(order[step * BATCH : (step + 1) * BATCH]))


def _loaded(model, items):
    for _, batch in zip(range(STEPS), items, strict=False):
        _update(model, batch)


if __name__ == "__main__":
    main("training", measure)
