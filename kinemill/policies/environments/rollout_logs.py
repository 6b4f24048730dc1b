"""Rollouts: episodes of a policy or an expert as logs that ingest reads, and as videos.

Each episode follows from its seed alone, so any number of workers writes the same bytes.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import (
    Agent,
    bootstrap,
    run_episode,
    run_in_processes,
)
from kinemill.policies.environments.factory import environment_of, make_environment
from kinemill.policies.environments.gym_types import Env, Options, Reset, Transition
from kinemill.policies.environments.logs import write_episode
from kinemill.policies.environments.video import record_video
from kinemill.store import Json, publish_file
from kinemill.task.document import Task

RECORDED = 3  # episodes that are recorded
FASTEST = 50.0  # largest frame rate of a video, Hz
_STREAM = 29  # of the noise, apart from what else is drawn by an episode's seed


@dataclass(frozen=True)
class LoggedEpisode:
    """One episode of a policy.

    Attributes:
        seed: of its start.
        episode_return: sum of rewards.
        success: as reported by the environment at its end; None: nothing.
        rows: of the log.
        file: the log; None where a failure was left out.
    """

    seed: int
    episode_return: float
    success: bool | None
    rows: int
    file: Path | None


def log_episodes(
    task: Task,
    seeds: Sequence[int],
    *,
    policy: Agent | None,
    folder: Path,
    variant: str | None = None,
    failures: bool = True,
    std: float = 0.0,
) -> Iterator[LoggedEpisode]:
    """Let a policy act from each seed, and write its episodes as logs.

    Args:
        task: with an `environment` part.
        seeds: of the starts and of the policy's randomness.
        policy: None: the expert of the environment.
        folder: where logs go.
        variant: name of the changed settings.
        failures: whether episodes that the environment calls failures are written, too.
        std: noise on the executed actions, see `DartNoise`.

    Raises:
        BadInput: there is no environment, or it has no expert.
    """
    with closing(make_environment(task, variant=variant)) as plain:
        environment = DartNoise(plain, std) if std else plain
        agent: Agent = policy if policy is not None else environment_of(task).expert(environment)
        for seed in seeds:
            run = run_episode(task, environment, agent, seed)
            is_written = failures or run.success is not False
            file = write_episode(task, run, folder) if is_written else None
            yield LoggedEpisode(seed, run.episode_return, run.success, len(run.rewards), file)


def roll_out(
    task: Task,
    policy: Agent,
    seeds: Sequence[int],
    folder: Path,
    *,
    variant: str | None = None,
    workers: int = 1,
) -> Iterator[Json]:
    """Let a policy act, write each episode as a log, and yield its seed, return, success and file.

    The episodes are the same for any number of workers.
    """
    variant = variant if variant is not None else environment_of(task).trials.variant
    run = partial(log_episodes, policy=policy, folder=folder, variant=variant)
    for episode in run_in_processes(run, task, seeds, workers):
        yield {
            "seed": episode.seed,
            "return": episode.episode_return,
            "success": episode.success,
            "steps": episode.rows,
            "file": str(episode.file),
        }


def averages(episodes: Sequence[Json]) -> Json:
    """Return `episodes`, and their average `return` and `success` with 95 % intervals."""
    document: Json = {}
    for name in ("return", "success"):
        values = [episode[name] for episode in episodes]
        is_known = None not in values
        document[name] = float(np.mean(values)) if is_known else None
        document[f"{name}_interval"] = list(bootstrap(values)) if is_known else None
    return document | {"episodes": list(episodes)}


def demonstrations(
    task: Task,
    folder: Path,
    seeds: Sequence[int],
    *,
    expert: Agent | None = None,
    workers: int = 1,
    failures: bool = False,
) -> Iterator[LoggedEpisode]:
    """Write one log for each seed, and yield the demonstrations in the order of the seeds.

    DART noise (Laskey et al. 2017) perturbs the executed actions, while logs hold the expert's
    choice. The demonstrations then show how to recover from states that a policy's errors lead to.

    Args:
        task: with an `environment` part.
        folder: where logs go.
        seeds: of the initial states and of an expert's randomness.
        expert: the acting policy, picklable; default: the environment's own.
        workers: processes.
        failures: whether episodes that the environment calls failures are written, too.

    Raises:
        BadInput: there is no environment, or it has no expert.
        ProcessLost: a process was ended from outside.
    """
    std = environment_of(task).dart_noise
    run = partial(log_episodes, policy=expert, folder=folder, failures=failures, std=std)
    folder.mkdir(parents=True, exist_ok=True)
    yield from run_in_processes(run, task, seeds, workers)


def demonstrations_document(task: Task, runs: Sequence[LoggedEpisode]) -> Json:
    """Return what `kinemill model rollout --expert --json` prints."""
    successes = [run.success for run in runs if run.success is not None]
    return {
        "task": task.name,
        "episodes": len(runs),
        "written": sum(run.file is not None for run in runs),
        "success": sum(successes) / len(successes) if successes else None,
        "return": sum(run.episode_return for run in runs) / len(runs),
        "runs": [
            {**vars(run), "file": str(run.file) if run.file is not None else None} for run in runs
        ],
    }


def record_videos(
    task: Task, policy: Agent, seeds: Sequence[int], folder: Path, *, variant: str | None = None
) -> list[str]:
    """Record the first episodes as MP4, and return their files.

    Raises:
        BadInput: the environment draws no pictures.
    """
    made = list[str]()
    for seed in seeds[:RECORDED]:
        video = record_video(task, policy, seed, variant=variant)
        if video is None:
            where = f"environment of {task.name}"
            raise BadInput(where, "draws no pictures", expected="render() -> (H, W, 3) uint8")
        path = folder / f"{task.name}-{seed:06d}.mp4"
        publish_file(path, mp4(video.pictures, video.stride * task.dt))
        made.append(str(path))
    return made


def mp4(frames: NDArray[np.uint8], dt: float) -> bytes:
    """Return an H.264 video in real time; an odd last row or column is cut off.

    Args:
        frames: (N, H, W, 3) uint8.
        dt: time between two frames, s.
    """
    import av

    stride = max(1, round(1.0 / (FASTEST * dt)))
    height, width = (size - size % 2 for size in frames.shape[1:3])  # yuv420p halves both
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        rate = Fraction(1.0 / (dt * stride)).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate, width=width, height=height)
        for frame in frames[::stride, :height, :width]:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


class DartNoise(gymnasium.Wrapper[object, object, object, object]):
    """Carries out actions with noise, which follows from an episode's seed.

    Args:
        env: acts.
        std: standard deviation of the noise, in shares of half the range of each action.

    Raises:
        BadInput: actions are choices, or have no limits.
    """

    def __init__(self, env: Env, std: float) -> None:
        super().__init__(env)
        space = env.action_space
        if not isinstance(space, Box) or not space.is_bounded():
            raise BadInput(
                "environment.dart_noise", f"actions are {space}", expected="numbers with limits"
            )
        self._low = space.low
        self._high = space.high
        self._std = std * (space.high - space.low) / 2
        self._random = np.random.default_rng(0)

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        if seed is not None:
            # A separate stream: the environment draws its start from the same seed.
            self._random = np.random.default_rng([seed, _STREAM])
        return self.env.reset(seed=seed, options=options)

    def step(self, action: object) -> Transition:
        """Carry out an action and noise, within the limits."""
        expert_action = np.asarray(action, self._low.dtype)
        noise = self._std * self._random.normal(size=expert_action.shape)
        return self.env.step(
            np.clip(expert_action + noise, self._low, self._high).astype(expert_action.dtype)
        )
