"""Cart-poles that we know, and a champion that is their own equations as a rollout.onnx."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from kinemill.control.sim._table import csv
from kinemill.control.sim.cart_pole import CartPole
from kinemill.dataset import PackedDataset, load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.export.bundle import write_interface
from kinemill.export.rollout import rollout_model
from kinemill.export.step import step_model
from kinemill.ingest import stage as ingest
from kinemill.runtime import Interface
from kinemill.store import ArtifactRef
from kinemill.store.digests import file_digest
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.validate import stage as validate
from tests.conftest import EXAMPLES
from tests.export.documents import io_of

SECONDS = 6.0
STATES = ("cart_position", "pole_angle", "cart_velocity", "pole_velocity")

# Two semi-implicit Euler steps of 10 ms. M for both masses, J = m L² / 3, h = m l cos θ,
# k = u - b v + m l sin θ ω², r = m g l sin θ + c ω, D = M J - h²; v' = (J k + h r) / D,
# ω' = -(M r + h k) / D.
_HALF = """
  s{n} = Sin(th{n})  c{n} = Cos(th{n})
  mls{n} = Mul(ml, s{n})  h{n} = Mul(ml, c{n})
  ww{n} = Mul(w{n}, w{n})  pull{n} = Mul(mls{n}, ww{n})
  bv{n} = Mul(b, v{n})  free{n} = Sub(action, bv{n})  k{n} = Add(free{n}, pull{n})
  grav{n} = Mul(mls{n}, g)  rub{n} = Mul(c, w{n})  r{n} = Add(grav{n}, rub{n})
  hh{n} = Mul(h{n}, h{n})  D{n} = Sub(MJ, hh{n})
  Jk{n} = Mul(J, k{n})  hr{n} = Mul(h{n}, r{n})  top{n} = Add(Jk{n}, hr{n})
  Mr{n} = Mul(M, r{n})  hk{n} = Mul(h{n}, k{n})  under{n} = Add(Mr{n}, hk{n})
  a{n} = Div(top{n}, D{n})  q{n} = Div(under{n}, D{n})
  da{n} = Mul(a{n}, dt)  dq{n} = Mul(q{n}, dt)
  v{m} = Add(v{n}, da{n})  w{m} = Sub(w{n}, dq{n})
  dx{n} = Mul(v{m}, dt)  dth{n} = Mul(w{m}, dt)
  x{m} = Add(x{n}, dx{n})  th{m} = Add(th{n}, dth{n})
"""


def equations(plant: CartPole, dt: float) -> onnx.GraphProto:
    """The plant's step (B, 4), (B, 1) -> (B, 4), m, rad, m/s, rad/s, N, as an ONNX graph."""
    total, moment = plant.cart_mass + plant.pole_mass, plant.pole_mass * plant.pole_length / 2
    inertia = plant.pole_mass * plant.pole_length**2 / 3
    numbers = {"ml": moment, "J": inertia, "M": total, "MJ": total * inertia}
    numbers |= {"g": plant.gravity, "dt": dt / 2}
    numbers |= {"b": plant.cart_damping, "c": plant.pole_damping}
    arguments = ", ".join(f"float {name} = {{{value:.9g}}}" for name, value in numbers.items())
    halves = _HALF.format(n=0, m=1) + _HALF.format(n=1, m=2)
    graph = onnx.parser.parse_graph(
        f"""step (float[batch, 4] state, float[batch, 1] action) => (float[batch, 4] next_state)
        <{arguments}> {{
        x0, th0, v0, w0 = Split <axis: int = 1, num_outputs: int = 4> (state)
        {halves}
        next_state = Concat <axis: int = 1> (x2, th2, v2, w2)
        }}"""
    )
    for index, node in enumerate(graph.node):
        node.name = f"node_{index}"
    return graph


def write_rollout(folder: Path, task: Task, plant: CartPole) -> str:
    """Write the plant's equations as a model; return the sha256 of its rollout.onnx."""
    interface = Interface(
        task=task.name,
        dt=task.dt,
        history=1,
        states=STATES,
        actions=("cart_force",),
        units={name: task.channels[name].unit for name in task.columns},
        limits={},
        angles=("pole_angle",),
        carry=(),
        dataset="d" * 64,
        versions={},
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("rollout.onnx", rollout_model), ("step.onnx", step_model)):
        model = make(equations(plant, task.dt), interface, "0")
        (folder / name).write_bytes(model.SerializeToString())
    write_interface(folder, io_of("cart"))
    return file_digest(folder / "rollout.onnx")


@dataclass(frozen=True)
class Champion:
    """A champion without a registry: its files, and the dataset it was judged on."""

    version: int
    folder: Path
    model: str
    dataset: str
    packed: PackedDataset

    def used(self) -> frozenset[str]:
        return frozenset(episode.recording for episode in self.packed.episodes)

    def held_out(self, most: int) -> Iterator[tuple[str, str, Any]]:
        for episode in [*self.packed.of("validation"), *self.packed.of("test")][:most]:
            yield episode.id, episode.name, self.packed.rows(episode)

    def training_rows(self, most: int) -> Any:
        rows = np.concatenate([self.packed.rows(episode) for episode in self.packed.of("train")])
        return rows[:: -(-len(rows) // most)]


@dataclass
class Robot:
    """A home with the logs of a cart-pole, and how more of them arrive."""

    home: Home
    task: Task
    logs: Path
    champion: Champion | None = None

    def drive(
        self,
        number: int,
        seconds: float = SECONDS,
        spoil: Callable[[dict[str, np.ndarray]], None] | None = None,
        **plant: float,
    ) -> str:
        """Log one run of the plant, changed as said; return the content hash of the log."""
        random = np.random.default_rng(number)
        table = CartPole(**plant).log(seconds, random)
        if spoil:
            spoil(table)
        path = self.logs / f"log-{number:03d}.csv"
        path.write_text(csv(table))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def episodes(self) -> ArtifactRef:
        """Read and validate everything that is there."""
        return validate.run(
            self.task, self.home, ingest.run(self.task, self.home, self.logs).artifact.ref
        ).ref

    def crown(self) -> Champion:
        """Make a champion of the plant's equations, judged on the logs there are."""
        dataset = dataset_stage.run(self.task, self.home, self.episodes()).ref
        folder = self.home.root / "champion"
        model = write_rollout(folder, self.task, CartPole())
        packed = load_dataset(self.home, dataset)
        self.champion = Champion(1, folder, model, dataset.digest, packed)
        return self.champion


@pytest.fixture(scope="session")
def champion_home(tmp_path_factory) -> Path:
    """Eight logs of six seconds, the last two held out, and the champion made on them."""
    root = tmp_path_factory.mktemp("robot")
    shutil.copy(EXAMPLES / "cart_pole.yaml", root)
    (root / "logs").mkdir()
    made = _open(root)
    for number in range(8):
        made.drive(number)
    made.crown()
    return root


def _open(root: Path) -> Robot:
    overrides = {
        "ingest.min_file_age": 0.0,
        "dataset.validation": ["*log-006*"],
        "dataset.test": ["*log-007*"],
    }
    task = load_task(root / "cart_pole.yaml", overrides)
    return Robot(Home(root / "home"), task, root / "logs")


@pytest.fixture
def robot(champion_home, tmp_path) -> Robot:
    """A robot of one's own, with its champion."""
    shutil.copytree(champion_home, tmp_path / "robot")
    made = _open(tmp_path / "robot")
    made.crown()
    return made
