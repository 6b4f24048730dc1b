"""Success of policies trained from demonstrations: `make prove-imitation`.

For each task and seed, in separate folders under `prove/imitation/` of KINEMILL_HOME: record an
expert's demonstrations, run the pipeline up to a trained policy, then run the trials of the task
file in ONNX Runtime. References: the expert; plain behavior cloning for the obstacle; the same
policy with the instruction of another episode for the targets. g1_lerobot is evaluated by the next
action on its last four episodes. Finished results are reused. Options: `--row NAME`, `--seeds N`.
The table is written to docs/results-*.md when it is complete; `--seeds 0` only writes it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import _proof
from kinemill.api.dataset import make_dataset
from kinemill.augment import stage as augment
from kinemill.export.policy import describe, write_policy
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.evaluation import (
    Trials,
    bootstrap,
    run_episode,
    summed,
    try_policy,
)
from kinemill.policies.environments.rollout_logs import demonstrations
from kinemill.runtime import load
from kinemill.store import ArtifactRef
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations

DEMONSTRATIONS = {"reach": 500, "obstacle": 300, "targets": 800}
PLAIN: dict[str, Any] = {"learn.head": {"type": "deterministic"}, "learn.chunk": {"length": 1}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "reach": ("reach", {}),
    "obstacle_plain": ("obstacle", PLAIN),
    "obstacle": ("obstacle", {}),
    "targets": ("targets", {}),
    "g1": ("g1_policy", {}),
}
SEEDS = 3
G1 = _proof.DATA / "g1_lerobot"
ARMS, HISTORY, OWN_HISTORY = 14, 10, 8  # joints in rad, before the hands; rows that linear ones see
Figures = dict[str, Any]
Array = NDArray[Any]


class WrongInstruction:
    """A policy that receives the instruction of another episode.

    Args:
        policy: the policy.
        said: instructions of other episodes.
    """

    def __init__(self, policy: Any, said: list[Any]) -> None:
        self._policy, self._said, self._now = policy, said, said[0]
        self.interface = policy.interface

    def reset(self, seed: int) -> None:
        """Draw an instruction from the seed."""
        self._now = self._said[int(np.random.default_rng([seed, 5]).integers(len(self._said)))]
        self._policy.reset(seed)

    def act(self, observation: Any) -> Any:
        """Act on the observation and the other instruction."""
        return self._policy.act({**observation, "instruction": self._now})


def learned(case: str, seed: int, logs: Path, folder: Path) -> tuple[Any, Home, ArtifactRef]:
    """Train the policy of a case and export it into a folder; return task, home, dataset."""
    name, changed = CASES[case]
    task = load_task(name, {**changed, "learn.seed": seed})
    home = Home(_proof.results_folder("imitation") / name / "home")
    dataset = make_dataset(task, logs, home=home).ref
    artifact = train.run(
        task, home, dataset, augment.run(task, home, dataset).ref, (NullReporter(), NullReporter())
    )
    module = load_model(home.root / artifact.ref.path)
    folder.mkdir(parents=True, exist_ok=True)
    write_policy(module, describe(module, task.name, dataset.digest), folder)
    return task, home, dataset


def run_trials(task: Any, policy: Any) -> Trials:
    """Run the trials of a policy."""
    trials = task.environment.trials
    return try_policy(task, policy, range(trials.seed, trials.seed + trials.episodes))


def by_expert(task: Any) -> Trials:
    """Run the expert from the same initial states."""
    environment, trials = make_environment(task), task.environment.trials
    expert = task.environment.expert(environment)
    seeds = range(trials.seed, trials.seed + trials.episodes)
    return summed([run_episode(task, environment, expert, seed, keep=False) for seed in seeds], 0)


def prove(case: str, seed: int, folder: Path) -> Figures:
    """Return the figures of one case and seed, closed loop."""
    name = CASES[case][0]
    logs, count = _proof.results_folder("imitation") / name / "logs", DEMONSTRATIONS[name]
    if not logs.is_dir():
        begun = logs.with_name("begun")
        list(demonstrations(load_task(name), begun, range(count)))
        begun.rename(logs)
    task, *_ = learned(case, seed, logs, folder)
    policy = load(folder)
    own, expert = run_trials(task, policy), by_expert(task)
    figures: Figures = {
        "success": own.success,
        "expert": expert.success,
    }
    if name == "targets":
        environment = make_environment(task)
        said = [environment.reset(seed=k)[0]["instruction"] for k in range(60)]
        figures["shuffled"] = run_trials(task, WrongInstruction(policy, said)).success
    return figures


def prove_g1(seed: int, folder: Path) -> Figures:
    """Return next-action errors of the arms, rad, on the last four episodes, and of the references.

    The first row of an episode does not count: the command before it is unknown.
    """
    task, home, dataset = learned("g1", seed, G1, folder)
    data = Demonstrations.open(home, dataset)
    states = len(task.states)
    observations, acted = (
        data.observed(task.learn.observations).astype(float),
        np.array(data.actions),
    )
    acted = acted[:, :ARMS].astype(float)
    policy, predicted = load(folder), list[Array]()
    for one in data.packed.of("test"):
        policy.reset(0)
        rows = data.observed(task.learn.observations)[one.start : one.stop]
        predicted.append(np.stack([policy.act(row)[:ARMS] for row in rows]))
    own = [
        _linear(data, observations[:, [joint, states + joint]], acted[:, [joint]], OWN_HISTORY)
        for joint in range(ARMS)
    ]
    recorded = _of(data, "test", acted)
    predictions = {
        "policy": np.concatenate(predicted),
        "repeat": _of(data, "test", observations[:, states : states + ARMS]),
        "linear": _linear(data, observations, acted, HISTORY),
        "own_linear": np.concatenate(own, axis=1),
    }
    later = np.concatenate([np.arange(one.rows) > 0 for one in data.packed.of("test")])
    return {
        name: float(np.sqrt(((prediction - recorded)[later] ** 2).mean()))
        for name, prediction in predictions.items()
    }


def _linear(data: Demonstrations, observations: Array, acted: Array, rows: int) -> Array:
    """Fit actions (N, A) to `rows` rows of observations (N, D); return the test split's actions."""
    inputs = _windows(data, observations, rows, "train")
    weights = np.linalg.lstsq(inputs, _of(data, "train", acted), rcond=None)[0]
    return _windows(data, observations, rows, "test") @ weights


def _windows(data: Demonstrations, observations: Array, rows: int, split: str) -> Array:
    """Return flat histories with a constant column; the first row pads the start of an episode."""
    histories = list[Array]()
    for one in data.packed.of(split):
        own = observations[one.start : one.stop]
        indices = np.maximum(np.arange(len(own))[:, None] + np.arange(1 - rows, 1), 0)
        histories.append(np.c_[own[indices].reshape(len(own), -1), np.ones(len(own))])
    return np.concatenate(histories)


def _of(data: Demonstrations, split: str, values: Array) -> Array:
    """Return the rows of a split."""
    return np.concatenate([values[one.start : one.stop] for one in data.packed.of(split)])


def rows(results: Mapping[str, list[Figures]]) -> Iterator[list[object]]:
    """Yield the rows of the table of all cases."""

    def figures(case: str, name: str, digits: int = 3) -> str:
        return ", ".join(f"{one[name]:.{digits}f}" for one in results[case])

    reference_cells = {
        "reach": f"expert {figures('reach', 'expert')}",
        "obstacle": f"expert {figures('obstacle', 'expert')}; "
        f"plain behavior cloning {figures('obstacle_plain', 'success')}",
        "targets": f"expert {figures('targets', 'expert')}; "
        f"instruction of another episode {figures('targets', 'shuffled')}",
    }
    for case, others in reference_cells.items():
        low, high = bootstrap([one["success"] for one in results[case]])
        what = f"`{case}`, {DEMONSTRATIONS[case]} demonstrations: success"
        own = f"**{figures(case, 'success')}**"
        yield [what, len(results[case]), own, f"{low:.3f} to {high:.3f}", others]
    low, high = bootstrap([one["policy"] for one in results["g1"]])
    first = results["g1"][0]
    yield [
        "`g1_policy`: next action of the arms, last 4 episodes, rad",
        len(results["g1"]),
        f"**{figures('g1', 'policy', 5)}**",
        f"{low:.5f} to {high:.5f}",
        f"linear on {HISTORY} rows {first['linear']:.5f}; linear, one joint per model, "
        f"{OWN_HISTORY} rows {first['own_linear']:.5f}; last action repeated {first['repeat']:.5f}",
    ]


def measure(case: str, seed: int, folder: Path) -> Figures:
    """Return the figures of a case and seed."""
    return prove_g1(seed, folder) if case == "g1" else prove(case, seed, folder)


def main() -> None:
    """Run the selected cases that are not finished; write the table when it is complete."""
    trained = _proof.SeededRows("imitation", CASES, range(SEEDS), measure)
    trained.prove(__doc__)
    results = {case: list(trained.finished(case).values()) for case in CASES}
    if missing := [case for case, its in results.items() if len(its) < SEEDS]:
        print(f"no table yet: {', '.join(missing)} need {SEEDS} seeds")
        return
    head = ["task", "seeds", "policy", "95 % interval of the mean", "references"]
    _proof.write("imitation", _proof.table(head, rows(results)))


if __name__ == "__main__":
    main()
