"""Simulated robots and the logs they write, for demonstrations and tests without hardware.

Each robot is a file: plant (MuJoCo), exciting inputs, and sensors with encoder resolution, noise
and a jittering clock. Logs are CSV files with columns `timestamp` (s from the start), `qpos_*`,
`qvel_*` and `ctrl_*`; some are broken on purpose.
`python -m kinemill.control.sim cart_pole --to FOLDER` writes them.
Dummy logs have a task's own channels instead of a robot's: `kinemill run TASK --dummy`.
"""

from kinemill.control.sim._dummy import dummy_overrides, write_dummy_logs
from kinemill.control.sim._dummy_settings import Dummy, dummy_task
from kinemill.control.sim._logs import SIMULATORS, Simulator, write_logs
from kinemill.control.sim._plant import MujocoModel, Plant, mujoco
from kinemill.control.sim._table import Table, write_csv

__all__ = [
    "SIMULATORS",
    "Dummy",
    "MujocoModel",
    "Plant",
    "Simulator",
    "Table",
    "dummy_overrides",
    "dummy_task",
    "mujoco",
    "write_csv",
    "write_dummy_logs",
    "write_logs",
]
