"""Run a controller or a policy in closed loop; each episode becomes a log."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinemill.api.html import Summarized
from kinemill.api.models import ModelLike, exported_folder
from kinemill.api.progress import ShowProgress, StderrProgress, counted, reporter
from kinemill.api.training import TaskLike, resolve_task
from kinemill.errors import BadInput
from kinemill.runtime import load_policy
from kinemill.runtime.session import Execution
from kinemill.store import Home, Json, publish_file
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.control.closed_loop import Episode
    from kinemill.control.policies import Policy
    from kinemill.reports.picture import Picture

PLAIN = ("zero", "random")  # baselines without planning
VIDEOS = "videos"


@dataclass(frozen=True, eq=False, repr=False)
class Rollout(Summarized):
    """Episodes of a controller or a policy.

    Attributes:
        task: the task.
        document: the result, output of `kinemill model rollout --json`.
        folder: folder of the logs.
        seeds: seeds of the episodes.
        episodes: states and actions of each episode of a controller; empty for a policy.
    """

    task: Task
    document: Json
    folder: Path
    seeds: range
    episodes: "tuple[Episode, ...]" = ()

    @property
    def rows(self) -> list[Json]:
        """One JSON object with the results of each episode."""
        return self.document["runs"] if "runs" in self.document else self.document["episodes"]

    @property
    def success(self) -> float | None:
        """Share of successful episodes; None if unknown."""
        flags = [bool(row["success"]) for row in self.rows if row["success"] is not None]
        return sum(flags) / len(flags) if flags else None

    @property
    def files(self) -> list[Path]:
        """Path of the log of each episode."""
        return [Path(row["file"]) for row in self.rows]

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per episode: seed, success, cost or return, and file."""
        import polars as pl

        return pl.DataFrame(self.rows)

    def write_page(self, to: str | Path) -> None:
        """Write the report of a controller, an HTML page with animations."""
        from kinemill.control.report import page

        name = self.document["controller"]
        model = self.document["model"]
        planned = f"{name} plans on {'the physics of the plant' if model == 'true' else model}"
        title = name if name in PLAIN else planned
        publish_file(Path(to), page(self.task, title, list(self.episodes), self.seeds).encode())

    def plot(self) -> "Picture":
        """Plot the states of a controller over time, or the returns of a policy by episode."""
        return _draw(self)

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        document = self.document
        facts = {
            "model": document["model"],
            "episodes": len(self.rows),
            "success": self.success,
            "cost": document.get("cost"),
            "return": document.get("return"),
            "logs": self.folder,
        }
        return f"Rollout of {self.task.name}", facts


def rollout(
    task: TaskLike,
    *,
    controller: str | None = None,
    model: ModelLike = "champion",
    episodes: int = 1,
    seed: int = 0,
    seconds: float | None = None,
    explore: float = 0.0,
    threads: int = 1,
    provider: str = "cpu",
    to: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
    progress: ShowProgress = True,
) -> Rollout:
    """Run a controller in the plant of a task, and write each episode as a log.

    Args:
        task: task with a `control` part.
        controller: mppi, cem, cma_es, predictive_sampling, dial, zero or random; default: that of
            the task.
        model: model of the planner: `champion`, an address `models:/...`, a folder, a training, or
            `true` for the physics of the plant.
        episodes: number of episodes.
        seed: seed of the first episode; each further one has the next number.
        seconds: length of an episode, s; default: the task's.
        explore: standard deviation of noise on the actions, relative to half the range.
        threads: CPU threads of the model.
        provider: execution provider of ONNX Runtime: `cpu`, `cuda`, `tensorrt`.
        to: folder for the logs; default: the drop folder.
        overrides: dotted key to value.
        progress: show progress; or a callback, see `Update`.

    Raises:
        BadInput: The task has no `control` part or trains a policy, or the model does not exist.
        EpisodeFailed: The plant does not respond.
    """
    from kinemill.control.recorded_runs import run_and_log

    resolved = task_with_controller(task, controller, overrides)
    if resolved.learn.gives == "policy":
        raise BadInput(f"task {resolved.name}", "learns a policy", fix="use rollout_policy")
    name, act = planner(resolved, controller, model, Execution(threads, provider))
    seeds = range(seed, seed + episodes)
    folder = log_folder(resolved, to)
    numbered = counted(seeds, len(seeds), "rollout", reporter(progress))
    ran, summary = run_and_log(
        resolved, (name, act), numbered, folder, seconds=seconds, explore=explore
    )
    document = {"task": resolved.name, "controller": name, "model": str(model), **summary}
    return Rollout(resolved, document, folder, seeds, tuple(ran))


def rollout_policy(
    task: TaskLike,
    *,
    model: ModelLike = "champion",
    episodes: int = 1,
    seed: int = 0,
    variant: str | None = None,
    workers: int = 1,
    video: bool = False,
    policy: str | None = None,
    to: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
    progress: ShowProgress = True,
) -> Rollout:
    """Run a policy in the environment of a task, and write each episode as a log.

    Args:
        task: task with an `environment` part.
        model: `champion`, `@alias`, `:3`, an address `models:/...`, a training, or the folder of a
            model or checkpoint.
        policy: `random`, `zero`, `module:Class` or `file.py:Class`, in place of a model.
        episodes: number of episodes.
        seed: seed of the first episode; each further one has the next number.
        variant: variant of the environment's settings.
        workers: number of processes.
        video: whether to record the first episodes as a video.
        to: folder for the logs; default: the drop folder.
        overrides: dotted key to value.
        progress: show progress; or a callback, see `Update`.

    Raises:
        BadInput: There is no such task, policy or variant, or the task has no `environment` part.
        CorruptArtifact: The files of the policy are damaged.
    """
    from kinemill.policies.environments.plain_policies import policy_named
    from kinemill.policies.environments.rollout_logs import averages, record_videos, roll_out

    resolved = resolve_task(task, overrides)
    where = policy or _exported(resolved, model)
    agent = policy_named(resolved, policy) if policy else load_policy(where)
    seeds = range(seed, seed + episodes)
    folder = log_folder(resolved, to)
    document: Json = {"task": resolved.name, "model": where, "variant": variant, "videos": []}
    rolled = roll_out(resolved, agent, seeds, folder, variant=variant, workers=workers)
    document |= averages(list(counted(rolled, len(seeds), "rollout", reporter(progress))))
    if video:
        videos = Home.resolve().root / VIDEOS / resolved.name
        document["videos"] = record_videos(resolved, agent, seeds, videos, variant=variant)
    return Rollout(resolved, document, folder, seeds)


def demonstrate(
    task: TaskLike,
    *,
    controller: str | None = None,
    model: str = "champion",
    episodes: int = 1,
    seed: int = 0,
    workers: int = 1,
    failures: bool = False,
    threads: int = 1,
    provider: str = "cpu",
    to: str | Path | None = None,
) -> Json:
    """Run an expert in the environment of a task, write its episodes as logs, return a summary.

    Args:
        task: task with an `environment` part.
        controller: planner as the expert; default: the policy `model`, else the expert of the
            environment.
        model: model of the planner, or folder of a policy.
        episodes: number of episodes.
        seed: seed of the first episode; each further one has the next number.
        workers: number of processes.
        failures: whether to write failed episodes, too.
        threads: CPU threads of the model.
        provider: execution provider of ONNX Runtime.
        to: folder for the logs; default: the drop folder.

    Raises:
        BadInput: The task has no environment, or no such expert.
    """
    from kinemill.control.closed_loop import PlannerExpert
    from kinemill.policies.environments.rollout_logs import demonstrations, demonstrations_document
    from kinemill.runtime import load

    resolved = resolve_task(task)
    if controller:
        plans = planner(resolved, controller, model, Execution(threads, provider))[1]
        expert = PlannerExpert(resolved, plans)
    else:
        expert = None if model == "champion" else load(_exported(resolved, model))
    made = demonstrations(
        resolved,
        log_folder(resolved, to),
        range(seed, seed + episodes),
        expert=expert,
        workers=workers,
        failures=failures,
    )
    runs = list(counted(made, episodes, "rollout", StderrProgress()))
    return demonstrations_document(resolved, runs)


def task_with_controller(
    task: TaskLike, controller: str | None, overrides: Mapping[str, object] | None
) -> Task:
    """Return the task with overrides, and with another controller if it is set.

    Raises:
        BadInput: The task has no `control` part.
    """
    from kinemill.control.physics import control_of

    changed = dict(overrides or {})
    if controller and controller not in PLAIN:
        control_of(resolve_task(task, changed))  # drop keys of the previous controller
        changed = {"control.controller.type": controller, **changed}
    return resolve_task(task, changed)


def planner(
    task: Task, controller: str | None, model: ModelLike, execution: Execution
) -> "tuple[str, Policy]":
    """Return name and object of a planner or a baseline controller.

    Raises:
        BadInput: The task has no `control` part, or the model does not exist or does not match.
    """
    from kinemill.control import learned_model, make_planner, plain_policy, uncertain_physics
    from kinemill.control.physics import control_of

    settings = control_of(task).controller
    if controller in PLAIN:
        return str(controller), plain_policy(task, str(controller))
    if model == "true":
        return settings.type, make_planner(task, uncertain_physics(task, execution.threads))
    where = _exported(task, model)
    learned = learned_model(task, where, execution.threads, execution.provider, wait=True)
    return settings.type, make_planner(task, [learned])


def log_folder(task: Task, to: str | Path | None) -> Path:
    """Return the folder for logs; default: the drop folder."""
    if to is not None:
        return Path(to)
    return Path(task.ingest.watch) if task.ingest.watch else Home.resolve().logs(task.name)


def model_address(task: str, model: ModelLike) -> str:
    """Return the address or folder of a model, from `champion`, `@alias`, `:3` or a training."""
    if isinstance(model, Path):
        return str(model)
    if not isinstance(model, str):
        return str(model.folder)
    if model == "champion":
        return f"models:/{task}@champion"
    if model.startswith("@"):
        return f"models:/{task}{model}"
    return f"models:/{task}/{model[1:]}" if model.startswith(":") else model


def _exported(task: Task, model: ModelLike) -> str:
    """Return the address or folder of a model of a task; a checkpoint is exported."""
    address = model_address(task.name, model)
    return address if address.startswith("models:/") else str(exported_folder(Path(address), task))


def _draw(result: Rollout) -> "Picture":
    from kinemill.verify.plots import panels

    task = result.task
    if not result.episodes:
        figure, (axis,) = panels(1, 1)
        axis.bar([str(row["seed"]) for row in result.rows], [r["return"] for r in result.rows])
        axis.set(xlabel="seed", ylabel="return")
        return figure
    figure, axes = panels(len(task.states), 1)
    for axis, (index, name) in zip(axes, enumerate(task.states), strict=True):
        for seed, episode in zip(result.seeds, result.episodes, strict=True):
            time = np.arange(len(episode.states)) * task.dt
            axis.plot(time, episode.states[:, index], lw=1, label=f"seed {seed}")
        axis.set_ylabel(f"{name}, {task.channels[name].unit}", fontsize=8)
    axes[-1].set_xlabel("time, s")
    axes[0].legend(fontsize=8, frameon=False)
    return figure
