"""A swinging rod as frames, and its model, trained once for all tests of the API."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import kinemill.api as km
from tests.conftest import leave_out_expectations

DT = 0.02


def swing(seed: int, rows: int = 300) -> pl.DataFrame:
    """A damped pendulum under random steps of torque: deg, rad/s, N*m; semi-implicit Euler."""
    random = np.random.default_rng(seed)
    torque = np.repeat(random.uniform(-1, 1, rows // 10), 10)
    angle, velocity = np.empty(rows), np.empty(rows)
    angle[0], velocity[0] = random.uniform(-1, 1), 0.0
    for k in range(rows - 1):
        push = -9 * np.sin(angle[k]) - 0.3 * velocity[k] + 3 * torque[k]
        velocity[k + 1] = velocity[k] + DT * push
        angle[k + 1] = angle[k] + DT * velocity[k + 1]
    return pl.DataFrame({"angle": np.degrees(angle), "velocity": velocity, "torque": torque})


def rod() -> km.Task:
    return km.make_task(
        task="rod",
        dt=DT,
        channels={
            "angle": km.Channel(role="state", kind="angle", unit="rad"),
            "velocity": km.Channel(role="state", unit="rad/s", limits=(-30.0, 30.0)),
            "torque": {"role": "action", "unit": "N*m"},
        },
        dataset={"validation": {"tail": 0.1}, "test": 0.3},
        learn={
            "type": "dynamics",
            "model": {"type": "mlp", "hidden_sizes": [8]},
            "history": 2,
            "horizon": 5,
            "steps": 20,
        },
        verify={"horizon": 10},
    )


def logs_of(*seeds: int) -> km.FrameLogs:
    frames = {f"run{seed}": swing(seed) for seed in seeds}
    return km.from_frames(frames, units={"angle": "deg"}, dt=DT)


@pytest.fixture(scope="session")
def rod_home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("rod") / "home"


@pytest.fixture
def in_rod_home(rod_home, monkeypatch) -> Path:
    monkeypatch.setenv("KINEMILL_HOME", str(rod_home))
    return rod_home


@pytest.fixture(scope="session")
def training(rod_home) -> km.Training:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINEMILL_HOME", str(rod_home))
        leave_out_expectations(patch)
        return km.train(rod(), logs_of(0, 1, 2, 3, 4), progress=False, track=False)
