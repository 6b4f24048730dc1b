"""From settings and clips to the policy that walks, and what it is to minimise.

Symbols: N rows of all clips, W windows, B batch, H history, T horizon, D numbers observed, A
targets, M numbers of a command.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.spec.ports import Start
from kinemill.spec.task import Task
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.gait_policy import GaitPolicy, GaitSizes, latest_rows, walk_on
from kinemill.train.gaits import STILL, Gaits, fit_gaits
from kinemill.train.loop import Objective
from kinemill.train.objectives._feeding import Chance
from kinemill.train.objectives._imitating import start_policy
from kinemill.train.policy import PolicyLayout
from kinemill.train.transfer import freeze
from kinemill.train.walking_error import AHEAD, LinearWalk, predicted

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

    def told(self) -> Any:
        """Return the mean command of each clip, (E, M) float64."""
        rows = [self.observed[a:b][:, self.commands].astype(np.float64) for a, b in self.episodes]
        return np.stack([own.mean(axis=0) for own in rows])

    def starts(self, rows: int, stride: int = 1) -> Any:
        """Return the first row of every `stride`-th window of `rows` rows, (W,)."""
        each = [np.arange(a, b - rows + 1, stride) for a, b in self.episodes]
        return np.concatenate([np.empty(0, np.int64), *each]).astype(np.int64)


def clips_of(learn: Any, task: Task, data: Demonstrations, split: str) -> _Clips:
    """Return a split's clips.

    Raises:
        BadInput: it has none.
    """
    seen, joints = learn.seen(task.channels), learn.joints(task.channels)
    episodes = [(one.start, one.stop) for one in data.packed.of(split)]
    if not episodes:
        raise BadInput(f"{split} split of {data.packed.task}", "has no clips")
    columns = [seen.index(joints[name]) for name in task.actions]
    rest = [at for at in range(len(seen)) if at not in columns]
    return _Clips(data.observed(seen), columns, rest, episodes)


def steps_of(learn: Any, task: Task, data: Demonstrations) -> int:
    """Return how many steps the epochs take, with the windows of a training set."""
    starts = clips_of(learn, task, data, "train").starts(
        learn.history + learn.horizon, learn.stride
    )
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
    gaits, moving = _family(learn, task, clips)
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
    start: Start | None,
) -> tuple[GaitPolicy, Objective]:
    """Return the policy to train and its objective, as `Motion.prepare` says."""
    said = about(learn, task, data)
    clips = clips_of(learn, task, data[1], "train")
    layout, sizes = PolicyLayout.from_json(said["layout"]), GaitSizes.from_json(said["sizes"])
    torch.manual_seed(learn.seed)
    policy: Any = GaitPolicy(layout, sizes)
    policy.adopt(_family(learn, task, clips)[0], _scale(clips))
    policy.to(device)
    if start is not None:
        start_policy(policy, start)
    freeze(policy, learn.freeze)
    watch = clips_of(learn, task, data[0], "validation")
    known = clips_of(learn, task, data[0], "train")
    walks = _Walks(learn, policy, (clips, known, watch))
    return policy, Objective(
        loss=walks.loss,
        evaluate=walks.evaluate,
        watched="validation/error",
        windows=len(walks.starts),
    )


def _family(learn: Any, task: Task, clips: _Clips) -> tuple[Gaits, list[int]]:
    """Return the gaits of training clips, and which of the targets move."""
    angles, scale = clips.angles(), _scale(clips)
    spread = np.sqrt(np.mean([clip.var(axis=0) for clip in angles], axis=0))
    moving = np.flatnonzero(spread > STILL).tolist()
    told = (clips.told() - scale["command_mean"]) / scale["command_std"]
    cycle = learn.cycle / task.dt if learn.cycle else 0.0
    kept = [clip[:, moving] for clip in angles]
    return fit_gaits(kept, list(told), learn.harmonics, learn.directions, cycle), moving


def _scale(clips: _Clips) -> dict[str, Any]:
    told = clips.told()
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
        clips: training clips with their copies, without them, and validation clips.
    """

    def __init__(
        self, learn: Any, policy: GaitPolicy, clips: tuple[_Clips, _Clips, _Clips]
    ) -> None:
        self._learn, self._policy = learn, policy
        train, known, watch = clips
        self._device = policy.moving.device
        self._rows = torch.from_numpy(train.observed).to(self._device)
        self.starts = self._windows(train, learn.horizon, learn.stride, "train")
        self._watched = torch.from_numpy(watch.observed).to(self._device)
        judged = self._windows(watch, AHEAD, 1, "validation")
        few = torch.linspace(0, len(judged) - 1, min(JUDGED, len(judged))).long()
        self._judged = judged[few.to(self._device)]
        spread = np.concatenate(known.angles()).std(axis=0)[list(policy.sizes.moving)]
        self._spread = torch.tensor(spread, dtype=torch.float32, device=self._device)
        self._linear = self._reference(known)

    def _windows(self, clips: _Clips, ahead: int, stride: int, split: str) -> Tensor:
        starts = clips.starts(self._learn.history + ahead, stride)
        if not len(starts):
            found = f"no clip has {self._learn.history + ahead} rows"
            raise BadInput(
                f"{split} split",
                found,
                expected=f"learn.history and {ahead} rows after it",
                fix="use longer clips, a larger dataset.validation, or a shorter learn.history",
            )
        return torch.from_numpy(starts).to(self._device)

    def loss(self, which: Tensor, step: int, place: tuple[int, int] | None = None) -> Tensor:
        """Return the loss of windows (1, B) at a training step."""
        chosen = which.flatten()
        chance = Chance(self._learn.seed, step, self._device, (1, place) if place else None)
        rows = self._gather(self._rows, self.starts[chosen], self._learn.horizon)
        policy, known = self._policy, self._learn.history
        seen = rows[:, :known].clone()
        moving = policy.joint_columns[policy.moving]
        if self._learn.noise:
            off = chance.normal(*seen[..., moving].shape) * policy.spread
            seen[..., moving] += self._learn.noise * off
            told = chance.normal(len(seen), len(policy.command_columns)) * policy.command_std
            disturbed = seen[:, -1].clone()
            disturbed[:, policy.command_columns] += self._learn.noise * told
            seen[:, -1] = disturbed
        joints = seen.index_select(2, policy.joint_columns)
        carry = latest_rows(policy, joints[:, :-1])
        walked = walk_on(policy, seen[:, -1], carry, self._learn.horizon, policy.joint_columns)
        truth = rows[:, known:].index_select(2, moving)
        error = (walked.index_select(2, policy.moving) - truth) / self._spread
        return torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=_EDGE)

    def evaluate(self) -> dict[str, float]:
        """Return the mean error of joints over 25 rows of its own output, rad, and the linear's."""
        rows = self._gather(self._watched, self._judged, AHEAD)
        known = self._learn.history
        joints = rows.index_select(2, self._policy.joint_columns)
        walked = predicted(self._policy, joints[:, :known], rows[:, known - 1], AHEAD)
        error = float((walked - joints[:, known:]).abs().mean())
        told = rows[:, 0].index_select(1, self._policy.command_columns).double().cpu().numpy()
        angles = joints.double().cpu().numpy()
        line = self._linear.walk(angles[:, :known], told, AHEAD)
        return {
            "validation/error": error,
            "validation/linear": float(np.abs(line - angles[:, known:]).mean()),
        }

    def _gather(self, rows: Tensor, starts: Tensor, ahead: int) -> Tensor:
        """Return windows (B, H + T, D) by their first rows."""
        places = torch.arange(self._learn.history + ahead, device=self._device)
        return rows[starts.unsqueeze(1) + places]

    def _reference(self, known: _Clips) -> LinearWalk:
        return LinearWalk.fit(known.angles(), list(known.told()), self._learn.history)
