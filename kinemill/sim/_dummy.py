"""Logs of a robot that nobody built, with a task's own channels: to try a chain without data.

Actions are sums of sines; every state and its derivatives are the exact answer of a damped spring
(or, without derivatives, of a first-order lag) to one of them. In symbols, for a spring of natural
frequency w and damping d: x'' = w² (u - x) - 2 d w x'. Amplitudes stay within the limits and the
jumps that the task allows, so that every physical check passes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.sim._table import Table, csv
from kinemill.spec import Task
from kinemill.store import digest, publish_file

SINES, LOWEST, HIGHEST = 5, 0.1, 0.8  # Hz: slow enough for every time step below 0.1 s
NATURAL, DAMPING = 2.0 * np.pi * 0.6, 0.4  # rad/s, 1
REACH = 0.7  # share of what limits and jumps leave that is used
NOISE = 1e-4  # of a sensor, over the amplitude of its signal

Waves = NDArray[np.complex128]


def write_dummy_logs(task: Task, folder: Path, *, episodes: int = 8, seed: int = 0) -> list[Path]:
    """Write `episodes` logs for a task, `dummy-0000.csv` and on: `time` in s, then its channels.

    Args:
        task: whose channels, units, limits and time step they have.
        folder: made if needed; every file appears in it whole or not at all.
        episodes: number of logs; the first two are for test and validation.
        seed: of all randomness.

    Raises:
        BadInput: fewer than three episodes, which cannot be split.
    """
    if episodes < 3:
        raise BadInput(f"{episodes} dummy logs", "cannot be split", expected="at least 3")
    paths: list[Path] = []
    for number in range(episodes):
        name = f"dummy-{number:04d}.csv"
        random = np.random.default_rng(int(digest([task.name, seed, name])[:16], 16))
        publish_file(folder / name, csv(_log(task, random)).encode())
        paths.append(folder / name)
    return paths


def dummy_overrides(task: Task) -> dict[str, Any]:
    """Return what a task must be told to read dummy logs, and to be done with them soon."""
    return {
        **{f"channels.{name}.source": [name] for name in task.channels},
        "ingest.format": "csv",
        "ingest.time": ["time"],
        "ingest.time_unit": "s",
        "ingest.include": ["dummy-*"],
        "ingest.exclude": [],
        "ingest.settle": 0.0,
        "dataset.by": "recording",
        "dataset.test": ["dummy-0000.csv"],
        "dataset.validation": ["dummy-0001.csv"],
        "dataset.unused": [],
        "learn.steps": min(task.learn.steps, 100),
        "learn.eval_every": min(task.learn.eval_every, 50),
    }


def _log(task: Task, random: np.random.Generator) -> Table:
    history, horizon = (int(getattr(task.learn, key, 1)) for key in ("history", "horizon"))
    rows = max(400, 4 * (history + horizon), 4 * (history + task.verify.horizon))
    time = np.asarray(np.arange(rows) * task.dt, np.float64)
    # Slow robots (a tank every 4 s) are slow in everything.
    omega = 2.0 * np.pi * np.exp(random.uniform(np.log(LOWEST), np.log(HIGHEST), SINES))
    omega = omega * min(1.0, 0.1 / task.dt) * max(1.0, 4.0 / (rows * task.dt))
    drives = {name: _waves(random) for name in task.actions} or {"": _waves(random)}
    table: Table = {"time": time}
    for name, waves in drives.items():
        if name:
            table[name] = _fit(task, {name: _play(waves, omega, time)})[name]
    for number, orders in enumerate(_families(task)):
        waves = list(drives.values())[number % len(drives)]
        answer = waves * _gain(omega, float(omega.mean()), spring=len(orders) > 1)
        played = {
            name: _play(answer * (1j * omega) ** order, omega, time)
            for name, order in orders.items()
        }
        for name, signal in _fit(task, played).items():
            noise = NOISE * float(np.abs(signal - signal.mean()).max())
            table[name] = signal + noise * random.standard_normal(rows)
    return table


def _waves(random: np.random.Generator) -> Waves:
    """Return random amplitudes and phases of a sum of sines, (SINES,), at most 1 in all."""
    amplitude = random.dirichlet(np.ones(SINES))
    return np.asarray(amplitude * np.exp(2j * np.pi * random.uniform(size=SINES)), np.complex128)


def _play(waves: Waves, omega: NDArray[np.float64], time: NDArray[np.float64]) -> Any:
    """Return the sum of sines at times (n,) s as (n,)."""
    return np.real(np.exp(1j * np.outer(time, omega)) @ waves)


def _gain(omega: NDArray[np.float64], middle: float, *, spring: bool) -> Waves:
    """Return the frequency response of a lag, or of a spring for states with derivatives."""
    natural = min(NATURAL, 2.0 * middle)
    if not spring:
        return np.asarray(1.0 / (1.0 + 1j * omega / natural), np.complex128)
    stiff = natural**2 - omega**2 + 2j * DAMPING * natural * omega
    return np.asarray(natural**2 / stiff, np.complex128)


def _families(task: Task) -> list[dict[str, int]]:
    """Return each state that derives from no other, first, with its derivatives and their order."""
    families = [{name: 0} for name in task.states if task.channels[name].derivative_of is None]
    families += [
        {name: 0} for name in task.states if task.channels[name].derivative_of in task.actions
    ]
    for family in families:
        for _ in task.states:
            family |= {
                name: family[parent] + 1
                for name in task.states
                if (parent := task.channels[name].derivative_of) in family and parent
            }
    return families


def _fit(task: Task, chain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chain of signals, (n,) each, moved and scaled alike into what the task allows."""
    first, *_ = chain
    bounds, middle = task.channels[first].limits, 0.0
    scale = np.inf if bounds else 1.0  # without limits a signal of about 1, in its unit
    if bounds:
        middle = 0.5 * (bounds[0] + bounds[1])
        scale = 0.5 * (bounds[1] - bounds[0]) / float(np.abs(chain[first]).max())
    jumps: Mapping[str, float] = getattr(getattr(task.validation, "max_jump", None), "bounds", {})
    for name, signal in chain.items():
        limits = task.channels[name].limits
        if limits and name != first:
            scale = min(scale, min(-limits[0], limits[1]) / float(np.abs(signal).max()))
        if name in jumps:
            scale = min(scale, jumps[name] / float(np.abs(np.diff(signal)).max()))
    scale *= REACH
    return {
        name: scale * signal + (middle if name == first else 0.0) for name, signal in chain.items()
    }
