"""From settings and clips to the policy that walks, and what it is to minimize.

A network that saw nothing but a few clips would know them by heart. So each training window is
moved to another place of the family, drawn anew each time, and its command with it: what is learned
are gaits between and around the clips, with what the clips' own leave over.

Symbols: N rows of all clips, W windows, B batch, H history, T horizon, D numbers observed, A
targets, M numbers of a command.
"""

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.motion.gait_policy import GaitPolicy, GaitSizes
from kinemill.motion.gaits import Gaits, fit_gaits
from kinemill.motion.walking_error import (
    AHEAD,
    LinearWalk,
    latest_rows,
    predicted,
    walk_on,
)
from kinemill.task.document import Task
from kinemill.task.protocols import WarmStart
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.loop import Objective
from kinemill.train.objectives._bc_setup import start_policy
from kinemill.train.objectives._teacher_forcing import KeyedNoise
from kinemill.train.policy import PolicyLayout
from kinemill.train.transfer import freeze
from kinemill.validate.cycles import STILL

_EDGE = 0.5  # spreads of error from which it counts linearly, so that a foot's knock is no storm
JUDGED = 512  # validation windows, evenly spread


@dataclass(frozen=True)
class _Clips:
    """One split of the clips as arrays.

    Attributes:
        observed: (N, D) float32, task units.
        joints: columns of it that the actions are the next values of, (A,).
        commands: columns of it that are commands, (M,).
        episodes: first row of each clip, and the row after its last.
    """

    observed: np.ndarray[Any, np.dtype[np.float32]]
    joints: list[int]
    commands: list[int]
    episodes: list[tuple[int, int]]

    def angles(self) -> list[Any]:
        """Return joint angles of each clip, (n, A) float64."""
        return [self.observed[a:b][:, self.joints].astype(np.float64) for a, b in self.episodes]

    def mean_commands(self) -> Any:
        """Return the mean command of each clip, (E, M) float64."""
        rows = [self.observed[a:b][:, self.commands].astype(np.float64) for a, b in self.episodes]
        return np.stack([own.mean(axis=0) for own in rows])

    def starts(self, rows: int, stride: int = 1) -> tuple[Any, Any]:
        """Return the first row (W,) of each `stride`-th window of some rows, and its clip (W,)."""
        each = [np.arange(a, b - rows + 1, stride) for a, b in self.episodes]
        of = [np.full(len(own), clip) for clip, own in enumerate(each)]
        empty = np.empty(0, np.int64)
        first, clip = (np.concatenate([empty, *part]).astype(np.int64) for part in (each, of))
        return first, clip


def clips_of(learn: Any, task: Task, data: Demonstrations, split: str) -> _Clips:
    """Return a split's clips, those that `learn.motions` names.

    Raises:
        BadInput: there are none.
    """
    seen, joints = learn.seen(task.channels), learn.joints(task.channels)
    every = data.packed.of(split)
    episodes = [one for one in every if any(fnmatch(one.name, own) for own in learn.motions)]
    if not episodes:
        known = ", ".join(sorted({one.name for one in every})) or "none"
        where = f"{split} split of {data.packed.task}"
        raise BadInput(where, f"has no clip of {', '.join(learn.motions)}", expected=known)
    columns = [seen.index(joints[name]) for name in task.actions]
    rest = [at for at, name in enumerate(seen) if task.channels[name].role == "observation"]
    spans = [(one.start, one.stop) for one in episodes]
    return _Clips(data.observed(seen), columns, rest, spans)


def steps_of(learn: Any, task: Task, data: Demonstrations) -> int:
    """Return how many steps the epochs take, with the windows of a training set."""
    clips = clips_of(learn, task, data, "train")
    starts, _ = clips.starts(learn.history + learn.horizon, learn.stride)
    each = -(-len(starts) // (learn.batch_size * learn.accumulate))
    return min(learn.steps, max(1, learn.epochs * each))


def about(learn: Any, task: Task, data: tuple[Demonstrations, Demonstrations]) -> dict[str, Any]:
    """Return what `Motion.describe` says."""
    own = [*learn.seen(task.channels), *task.actions]
    ends = {name: task.channels[name].limits for name in own}
    layout = PolicyLayout(
        dt=task.dt,
        observation=tuple(learn.seen(task.channels)),
        actions=tuple(task.actions),
        units={name: task.channels[name].unit for name in own},
        limits={name: found for name, found in ends.items() if found is not None},
        choices=(0,) * len(task.actions),
    )
    packed = data[0].packed
    spread = dict(zip(packed.columns, packed.std.tolist(), strict=True))
    clips = clips_of(learn, task, data[1], "train")
    gaits, moving = family_of(learn, task, clips)
    sizes = GaitSizes(
        history=learn.history,
        joints=tuple(clips.joints),
        commands=tuple(clips.commands),
        moving=tuple(moving),
        terms=len(gaits.mean),
        directions=len(gaits.directions),
        hidden=learn.hidden_size,
    )
    angle = [name for name in layout.observation if task.channels[name].kind == "angle"]
    return {
        "layout": layout.to_json(),
        "units": layout.units,
        "limits": {name: layout.limits.get(name) for name in layout.units},
        "train_std": {name: spread[name] for name in layout.actions},
        "angles": angle,
        "sizes": sizes.to_json(),
        "cycle": gaits.cycle * task.dt,
    }


def prepare(
    learn: Any,
    task: Task,
    data: tuple[Demonstrations, Demonstrations],
    device: torch.device,
    start: WarmStart | None,
) -> tuple[GaitPolicy, Objective]:
    """Return the policy to train and its objective, as `Motion.prepare` says."""
    said = about(learn, task, data)
    clips = clips_of(learn, task, data[1], "train")
    layout, sizes = PolicyLayout.from_json(said["layout"]), GaitSizes.from_json(said["sizes"])
    torch.manual_seed(learn.seed)
    policy: Any = GaitPolicy(layout, sizes)
    gaits, _ = family_of(learn, task, clips)
    policy.adopt(gaits, scale_of(clips))
    policy.to(device)
    if start is not None:
        start_policy(policy, start)
    freeze(policy, learn.freeze)
    watch = clips_of(learn, task, data[0], "validation")
    known = clips_of(learn, task, data[0], "train")
    walks = _Walks(learn, policy, gaits, (clips, known, watch))
    return policy, Objective(
        loss=walks.loss,
        evaluate=walks.evaluate,
        monitor="validation/error",
        windows=len(walks.starts),
    )


def family_of(learn: Any, task: Task, clips: _Clips) -> tuple[Gaits, list[int]]:
    """Return the gaits of training clips, and which of the targets move."""
    angles, scale = clips.angles(), scale_of(clips)
    spread = np.sqrt(np.mean([clip.var(axis=0) for clip in angles], axis=0))
    moving = np.flatnonzero(spread > STILL).tolist()
    told = (clips.mean_commands() - scale["command_mean"]) / scale["command_std"]
    cycle = learn.cycle / task.dt if learn.cycle else 0.0
    kept = [clip[:, moving] for clip in angles]
    return fit_gaits(kept, list(told), learn.harmonics, learn.directions, cycle), moving


def scale_of(clips: _Clips) -> dict[str, Any]:
    """Return mean and standard deviation of commands (M,), and mean joint angles (A,), rad."""
    told = clips.mean_commands()
    spread = told.std(axis=0)
    return {
        "command_mean": told.mean(axis=0),
        "command_std": np.where(spread > 1e-6, spread, 1.0),
        "rest_mean": np.concatenate(clips.angles()).mean(axis=0),
    }


class _Walks:
    """The loss of walks through training windows, and the errors of walks through others.

    Args:
        learn: settings of `objectives.motion`.
        policy: what is trained.
        gaits: of the training clips.
        clips: training clips with their copies, without them, and validation clips.
    """

    def __init__(
        self, learn: Any, policy: GaitPolicy, gaits: Gaits, clips: tuple[_Clips, ...]
    ) -> None:
        self._learn, self._policy = learn, policy
        train, known, watch = clips
        self._device = policy.moving.device
        self._rows = torch.from_numpy(train.observed).to(self._device)
        self.starts, self._of = self._windows(train, learn.horizon, learn.stride, "train")
        first = torch.tensor([start for start, _ in train.episodes], device=self._device)
        began = torch.from_numpy(gaits.phases).to(self._device)[self._of]
        self._phases = began + (self.starts - first[self._of]) * 2.0 * np.pi / gaits.cycle
        self._places = torch.from_numpy(gaits.places).float().to(self._device)
        told = torch.from_numpy(train.mean_commands()).float().to(self._device)
        self._tells = torch.linalg.pinv(self._places) @ (told - told.mean(dim=0))
        self._watched = torch.from_numpy(watch.observed).to(self._device)
        self._judged, _ = self._windows(watch, AHEAD, -(-_rows(watch) // JUDGED), "validation")
        spread = np.concatenate(known.angles()).std(axis=0)[list(policy.sizes.moving)]
        self._spread = torch.tensor(spread, dtype=torch.float32, device=self._device)
        self._linear = LinearWalk.fit(known.angles(), list(known.mean_commands()), learn.history)

    def _windows(self, clips: _Clips, ahead: int, stride: int, split: str) -> tuple[Tensor, Tensor]:
        starts, of = clips.starts(self._learn.history + ahead, stride)
        if not len(starts):
            raise BadInput(
                f"{split} split",
                f"no clip has {self._learn.history + ahead} rows",
                expected=f"learn.history and {ahead} rows after it",
                fix="use longer clips, a larger dataset.validation, or a shorter learn.history",
            )
        return torch.from_numpy(starts).to(self._device), torch.from_numpy(of).to(self._device)

    def loss(self, which: Tensor, step: int, place: tuple[int, int] | None = None) -> Tensor:
        """Return the loss of windows (1, B) at a training step."""
        chosen, known, policy = which.flatten(), self._learn.history, self._policy
        chance = KeyedNoise(self._learn.seed, step, self._device, (1, place) if place else None)
        rows = self._gather(self._rows, self.starts[chosen], self._learn.horizon)
        self._move(rows, chosen, chance)
        truth = rows[:, known:].index_select(2, self._moving)
        self._disturb(rows, chance)
        joints = rows[:, :known].index_select(2, policy.joint_columns)
        carry, now = latest_rows(policy, joints[:, :-1]), rows[:, known - 1]
        walked = walk_on(policy, now, carry, self._learn.horizon, policy.joint_columns)
        error = (walked.index_select(2, policy.moving) - truth) / self._spread
        return torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=_EDGE)

    @property
    def _moving(self) -> Tensor:
        return self._policy.joint_columns[self._policy.moving]

    def _move(self, rows: Tensor, chosen: Tensor, chance: KeyedNoise) -> None:
        """Move windows (B, H + T, D) to other places of the family, and their commands along."""
        policy, of = self._policy, self._of[chosen]
        change = chance.normal(len(rows), self._places.shape[1]) - self._places[of]
        places = torch.arange(rows.shape[1], device=self._device)
        phase = (self._phases[chosen].unsqueeze(1) + places * policy.pace).float()
        rows[..., self._moving] += policy.curve(phase, change) - policy.curve(phase, 0.0 * change)
        rows[..., policy.command_columns] += (change @ self._tells).unsqueeze(1)

    def _disturb(self, rows: Tensor, chance: KeyedNoise) -> None:
        """Add noise to the rows (B, H + T, D) that are seen, and to the command of the present."""
        policy, seen = self._policy, self._learn.history
        joints = chance.normal(len(rows), seen, len(self._moving)) * policy.spread
        told = chance.normal(len(rows), len(policy.command_columns)) * policy.command_std
        rows[:, :seen, self._moving] += self._learn.noise * joints
        rows[:, seen - 1, policy.command_columns] += self._learn.noise * told

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the mean error of joints over 25 rows of its own output, rad, and the linear's."""
        rows, known = self._gather(self._watched, self._judged, AHEAD), self._learn.history
        joints = rows.index_select(2, self._policy.joint_columns)
        truth = joints[:, known:]
        walked = predicted(self._policy, joints[:, :known], rows[:, known - 1], AHEAD)
        told = rows[:, 0].index_select(1, self._policy.command_columns).double().cpu().numpy()
        line = self._linear.walk(joints[:, :known].double().cpu().numpy(), told, AHEAD)
        return {
            "validation/error": float((walked - truth).abs().mean()),
            "validation/linear": float(np.abs(line - truth.double().cpu().numpy()).mean()),
        }

    def _gather(self, rows: Tensor, starts: Tensor, ahead: int) -> Tensor:
        """Return windows (B, H + T, D) by their first rows."""
        places = torch.arange(self._learn.history + ahead, device=self._device)
        return rows[starts.unsqueeze(1) + places]


def _rows(clips: _Clips) -> int:
    return sum(stop - start for start, stop in clips.episodes)
