"""A registry for tests: a task, a tiny ONNX model, and stages with chosen numbers."""

import math
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.export.bundle import write_interface
from kinemill.register import Produced, stage
from kinemill.register.gate.inputs import ChampionComparison, Findings
from kinemill.register.gate.rules import Measured, Paired, RowOverlap
from kinemill.runtime import Interface
from kinemill.store import (
    ArtifactRef,
    from_json_value,
    get_or_build,
    publish_document,
    to_json_value,
)
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.task.promote import FREE_RUN
from kinemill.tracking import open_tracking
from kinemill.train.summary import ModelSummary
from kinemill.verify.check_results import CallLatency, CheckSummary
from kinemill.verify.checklist import Gate
from kinemill.verify.comparison import NRMSE, Comparison
from kinemill.verify.document import Verification
from kinemill.verify.results import ChannelError, Metrics, Stability, WindowCounts
from tests.conftest import make_once
from tests.dataset.packing import write_packed
from tests.export.documents import io_of

TASK = """
task: cart
dt: 0.02
channels:
  position: {role: state, unit: m}
  velocity: {role: state, unit: m/s, derivative_of: position}
  force: {role: action, unit: N}
learn: {type: dynamics, model: {type: mlp}, history: 3}
"""
BASELINES = {"persistence": 0.9, "constant_velocity": 0.6, "linear": 0.3, "linear_sincos": 0.25}


@pytest.fixture
def task(tmp_path) -> Task:
    path = tmp_path / "cart.yaml"
    path.write_text(TASK)
    return load_task(path)


def interface(**changes) -> Interface:
    fields = {
        "task": "cart",
        "dt": 0.02,
        "history": 3,
        "states": ("position", "velocity"),
        "actions": ("force",),
        "units": {"position": "m", "velocity": "m/s", "force": "N"},
        "limits": {},
        "angles": (),
        "carry": (),
        "dataset": "d" * 64,
        "versions": {},
    }
    return Interface(**(fields | changes))


def rollout_model(gain: float, described: Interface) -> onnx.ModelProto:
    """Return a rollout.onnx: each next state is the last state + gain * action."""
    history, states, actions = described.history, len(described.states), len(described.actions)
    gains = np.full((actions, states), gain, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["states", "last"], ["now"], axis=1),
            helper.make_node("MatMul", ["actions", "gains"], ["pushed"]),
            helper.make_node("Add", ["now", "pushed"], ["next_states"]),
        ],
        "rollout",
        [
            _tensor("states", ["batch", history, states]),
            _tensor("past_actions", ["batch", history - 1, actions]),
            _tensor("actions", ["batch", "horizon", actions]),
        ],
        [_tensor("next_states", ["batch", "horizon", states])],
        [
            numpy_helper.from_array(np.array([history - 1]), "last"),
            numpy_helper.from_array(gains, "gains"),
        ],
    )
    return _model(graph, described)


def step_model(gain: float, described: Interface) -> onnx.ModelProto:
    """Return the step.onnx of that rollout: next state = state + gain * action."""
    states, actions = len(described.states), len(described.actions)
    gains = np.full((actions, states), gain, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["action", "gains"], ["pushed"]),
            helper.make_node("Add", ["state", "pushed"], ["next_state"]),
        ],
        "step",
        [_tensor("state", ["batch", states]), _tensor("action", ["batch", actions])],
        [_tensor("next_state", ["batch", states])],
        [numpy_helper.from_array(gains, "gains")],
    )
    return _model(graph, described)


def _model(graph: onnx.GraphProto, described: Interface) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, described.to_metadata())
    return model


def _tensor(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


WINDOWS = 12


HISTORY = 3  # rows known in each window
HORIZONS = ("1", "2", "4", "5", "25", FREE_RUN)
CHANNELS = ("position", "velocity")
EPISODES = 6  # of the test split, unless a test says otherwise


def comparison(model, reference, interval=None, p_worse=0.99, **changes) -> Comparison:
    """Return a comparison of two errors; the default interval is ± a tenth of the ratio."""
    ratio = model / reference if math.isfinite(reference) and reference else math.nan
    low, high = (0.9 * ratio, 1.1 * ratio) if interval is None else interval
    fields = {"effective_n": 12.0, "unit": "episodes", "detectable": 0.09} | changes
    return Comparison(model, reference, low, high, p_worse=p_worse, **fields)


def paired(model, reference, interval=None, channel=None, **changes) -> Paired:
    """Compare the challenger with a model of this error, equal at every horizon and channel."""
    one = comparison(model, reference, interval, **changes)
    every = {key: dict.fromkeys((NRMSE, *CHANNELS), one) for key in HORIZONS}
    return Paired.of(model, reference, one, every)


@dataclass(frozen=True)
class Claims:
    """Evidence with the numbers of a test; every model can be served."""

    challenger: float
    champion: float = 0.5
    interval: tuple[float, float] = (0.5, 0.9)
    channels: dict[str, float] = field(default_factory=dict)  # of the challenger, m
    windows: int = WINDOWS
    episodes: int = EPISODES
    history: int = HISTORY
    days: float = 1.0
    served: tuple[bool, str] = (True, "answered")
    references: dict[str, float] = field(default_factory=lambda: BASELINES)
    blocks: float = 12.0  # independent ones of each comparison

    def measure(self, challenger):
        actual = {
            name: paired(self.challenger, error, effective_n=self.blocks, unit=self._unit)
            for name, error in self.references.items()
        }
        absent = {"physics": "no velocity says what it is the derivative of"}
        return Findings(measured=self._measured(), references=actual, absent=absent)

    def compare(self, challenger, champion, trained_on=None):
        theirs = Measured(self.champion, self._channels, self.windows, 2, self.history)
        fields = {"effective_n": self.blocks, "unit": self._unit}
        pair = paired(self.challenger, self.champion, self.interval, **fields)
        return ChampionComparison(challenger=self._measured(), measured=theirs, paired=pair)

    def serve(self, folder):
        assert (folder / "rollout.onnx").is_file()
        return self.served

    def age(self):
        return self.days * 86400.0

    def measure_overlap(self):
        return RowOverlap(0.0, 0.0, 0.0)

    def _measured(self):
        own = self._channels | self.channels
        return Measured(self.challenger, own, self.windows, self.episodes, self.history)

    @property
    def _channels(self):
        return {"position": 0.01, "velocity": 0.02}

    @property
    def _unit(self):
        return "episodes" if self.blocks == 12.0 else "blocks"


@dataclass(frozen=True)
class Chain:
    """Publishes the artifacts of earlier stages with chosen numbers."""

    home: Home
    task: Task

    def produce(
        self, nrmse=0.1, *, gain=0.5, passed=True, p99=0.4, without=(), **changes
    ) -> Produced:
        """Publish a model with this gain, and a verification with this error.

        The verification lacks the part at the keys `without`.
        """
        described = interface(**changes)
        model = self._first_time("model", {"gain": gain}, lambda _: None, **trained())
        exported = self._first_time(
            "onnx_model",
            {"gain": gain, "as": described.to_metadata()},
            lambda folder: _export(folder, gain, described),
        )
        document = without_part(verification(nrmse, passed, p99), *without)
        verified = self._first_time(
            "verification",
            {"onnx": exported.digest, "found": to_json_value(document)},
            lambda folder: _verify(folder, document),
        )
        none = {"copies": 0.0, "repetitions": 0.0}
        dataset = self._first_time(
            "dataset",
            {},
            _pack,
            episodes={"train": 1, "test": 1},
            rows={},
            statistics={},
            independence={"validation": none, "test": none},
        )
        return Produced(verified, exported, model, dataset)

    def register(self, nrmse=0.1, *, run_id=None, task=None, evidence=None, champion=0.5, **kwargs):
        """Register a model with this error, and compare it with a champion of error `champion`."""
        produced = self.produce(nrmse, **kwargs)
        claimed = Claims(math.nan if nrmse is None else nrmse, champion)
        choice = task or self.task
        produced = replace(produced, run_id=run_id)
        return stage.run(choice, self.home, produced, evidence=evidence or claimed)

    def _first_time(self, stage, inputs, write, **summary) -> ArtifactRef:
        def build(folder):
            write(folder)
            return summary

        return get_or_build(self.home, stage, self.task.name, inputs, build).ref


def trained(**numbers):
    """Return the summary of a trained model as JSON."""
    summary = ModelSummary(
        **{"parameters": 1, "monitor": "validation/nrmse", "best": 0.1} | numbers
    )
    return to_json_value(summary)


def verification(nrmse, passed=True, p99=0.4) -> Verification:
    rmse = {"model": 0.01, **{name: value / 10 for name, value in BASELINES.items()}}
    latency = CallLatency(p50=0.2, p99=p99)
    return Verification(
        passed=passed,
        metrics=Metrics(
            test={"position": ChannelError("m", rmse), "velocity": ChannelError("m/s", rmse)},
            nrmse={"model": math.nan if nrmse is None else nrmse, **BASELINES},
        ),
        summary=CheckSummary(passed, passed, passed, latency),
        against={
            name: {"25": dict.fromkeys((NRMSE, *CHANNELS), comparison(0.5, 1.0, (0.4, 0.6)))}
            for name in BASELINES
        },
        windows=WindowCounts(count=WINDOWS, horizon=25, history=HISTORY),
        stability=Stability(1000, 32, 0.0, {}, None),
        gates=[Gate("step parity", passed, "", "")],
    )


def without_part(document: Verification, *keys: str) -> Verification:
    """Return a verification without the part at these keys of its JSON."""
    values = inner = to_json_value(document)
    for key in keys[:-1]:
        inner = inner[key]
    for key in keys[-1:]:
        del inner[key]
    return from_json_value(values, Verification, Path("verification.json"))


def _export(folder: Path, gain: float, described: Interface) -> None:
    for name, make in (("rollout.onnx", rollout_model), ("step.onnx", step_model)):
        (folder / name).write_bytes(make(gain, described).SerializeToString())
    write_interface(folder, io_of(described.task))
    inputs = {
        "states": np.zeros((2, described.history, len(described.states)), np.float32),
        "past_actions": np.zeros((2, described.history - 1, len(described.actions)), np.float32),
        "actions": np.ones((2, 1, len(described.actions)), np.float32),
    }
    after = inputs["states"][:, -1:] + gain * inputs["actions"].sum(axis=2, keepdims=True)
    allowed = np.full_like(after, 1e-5)
    np.savez(folder / "cases.npz", allow_pickle=False, **inputs, next_states=after, allowed=allowed)


def _verify(folder: Path, document) -> None:
    publish_document(folder / "verification.json", document)
    (folder / "report.html").write_text(
        "<html><body><h1>cart</h1><!-- kinemill:decision --></body></html>"
    )


def _pack(folder: Path) -> None:
    """Return two episodes of 40 rows: both states alternate 1, -1, ... and the force is 2 N."""
    rows = np.empty((80, 3), dtype=np.float32)
    rows[:, :2] = np.where(np.arange(80) % 2 == 0, 1.0, -1.0)[:, None]
    rows[:, 2] = 2.0
    episodes = [
        PackedEpisode(f"{split}-0000", split, split, split, start, start + 40)
        for split, start in (("train", 0), ("test", 40))
    ]
    statistics = np.array([0.0, 0.0, 2.0]), np.array([1.0, 1.0, 0.0]), np.array([2.0, 2.0])
    units = {"position": "m", "velocity": "m/s", "force": "N"}
    states, actions = ["position", "velocity"], ["force"]
    dataset = PackedDataset("cart", 0.02, states, actions, units, [], episodes, [rows], *statistics)
    write_packed(folder, dataset)


def hang_up(home):
    """Close the connections that MLflow keeps open: they survive no fork and no lost file."""
    client = open_tracking(home).client
    client._tracking_client.store.engine.dispose()
    client._get_registry_client().store.engine.dispose()


@pytest.fixture
def chain(tracked_home, task, monkeypatch) -> Chain:
    """A registry whose home and tasks are in force."""
    monkeypatch.setenv("KINEMILL_TASKS", str(task.path.parent))
    return Chain(tracked_home, task)


@pytest.fixture(scope="session")
def template(tmp_path_factory, empty_database):
    """Homes with this number of successive champions; each is built once and then copied."""

    def build(champions, folder):
        (folder / "cart.yaml").write_text(TASK)
        home = Home(folder / "home")
        home.root.mkdir()
        shutil.copy(empty_database, home.mlflow_db)
        chain = Chain(home, load_task(folder / "cart.yaml"))
        for n in range(champions):
            chain.register(0.1 / 2**n, gain=0.5 + n / 10, champion=0.15 / 2**n)
        hang_up(home)

    def of(champions):
        make = partial(build, champions)
        return make_once(tmp_path_factory, f"champions-{champions}", make) / "home"

    return of


@pytest.fixture
def with_champion(chain, template):
    """Make versions 1 to n champion in turn, with errors 0.1, 0.05, 0.025 and gains 0.5, ..."""

    def fill(champions=1):
        shutil.copytree(template(champions), chain.home.root, dirs_exist_ok=True)
        return chain

    return fill
