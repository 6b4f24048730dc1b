"""Set up stage one of the training: a gait policy from settings and clips, and its loss.

Few clips would be memorized. So each training window moves to a random latent of the family, drawn
at each step, together with its command. The network learns gaits between and around the clips,
with the residuals of the clips themselves.

Symbols: N rows of all clips, W windows, B batch, H history, T horizon, D numbers observed, A
targets, M numbers of a command, E clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.policies.motion.cycles import STILL
from kinemill.policies.motion.gait_policy import ClipScale, GaitPolicy, GaitSizes
from kinemill.policies.motion.gait_rollout import (
    EVALUATION_ROWS,
    LinearGait,
    carry_of,
    rollout,
    rollout_from_history,
)
from kinemill.policies.motion.gaits import Gaits, fit_gaits
from kinemill.policies.motion.settings import MotionSettings
from kinemill.runtime.json_values import from_json
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json, from_json_value, to_json_value
from kinemill.task import Task, WarmStart
from kinemill.train.demonstrations import Demonstrations, layout_of
from kinemill.train.noise import KeyedNoise
from kinemill.train.objective import Objective
from kinemill.train.transfer import freeze, start_policy
from kinemill.train.warm_start import DESCRIPTION

# Huber loss: standard deviations from which an error counts linearly, since feet knock.
_HUBER_DELTA = 0.5
_HARMONICS = 10  # of a joint's curve over a cycle, at most
_DIRECTIONS = 8  # principal components of the family of gaits, at most
MAX_VALIDATION_WINDOWS = 512  # evenly spaced
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Clips:
    """One split of the clips as arrays.

    Attributes:
        observed: (N, D) float32, task units.
        joints: columns of it that the actions are the next values of, (A,).
        commands: columns of it that are commands, (M,).
        episodes: first row of each clip, and the row after its last.
    """

    observed: NDArray[np.float32]
    joints: list[int]
    commands: list[int]
    episodes: list[tuple[int, int]]

    def angles(self) -> list[Doubles]:
        """Return joint angles of each clip, (n, A) rad."""
        return [self.observed[a:b][:, self.joints].astype(np.float64) for a, b in self.episodes]

    def mean_commands(self) -> Doubles:
        """Return the mean command of each clip, (E, M), task units."""
        rows = [self.observed[a:b][:, self.commands].astype(np.float64) for a, b in self.episodes]
        return np.stack([commands.mean(axis=0) for commands in rows])

    def starts(self, rows: int, stride: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first row (W,) of each `stride`-th window of some rows, and its clip (W,)."""
        starts = [np.arange(a, b - rows + 1, stride) for a, b in self.episodes]
        of = [np.full(len(clip_starts), clip) for clip, clip_starts in enumerate(starts)]
        empty = np.empty(0, np.int64)
        first, clip = (np.concatenate([empty, *part]).astype(np.int64) for part in (starts, of))
        return first, clip


def select_clips(learn: MotionSettings, task: Task, data: Demonstrations, split: str) -> Clips:
    """Return the clips of a split that `learn.motions` matches.

    Raises:
        BadInput: There are none.
    """
    names = learn.observed_channels(task.channels)
    joints = learn.joints(task.channels)
    clips = data.packed.of(split)
    episodes = [
        clip for clip in clips if any(fnmatch(clip.name, pattern) for pattern in learn.motions)
    ]
    if not episodes:
        available = ", ".join(sorted({clip.name for clip in clips})) or "none"
        where = f"{split} split of {data.packed.task}"
        raise BadInput(where, f"has no clip of {', '.join(learn.motions)}", expected=available)
    columns = [names.index(joints[name]) for name in task.actions]
    commands = [at for at, name in enumerate(names) if task.channels[name].role == "observation"]
    spans = [(episode.start, episode.stop) for episode in episodes]
    return Clips(data.observed(names), columns, commands, spans)


def describe_layout(learn: MotionSettings, task: Task, data: Demonstrations) -> Json:
    """Return the layout, units, limits and standard deviations of `Motion.describe`."""
    return data.describe(layout_of(task, learn.observed_channels(task.channels)), task)


def describe(learn: MotionSettings, task: Task, data: Sequence[Demonstrations]) -> Json:
    """Return the JSON object of `Motion.describe` for a policy of gaits."""
    clips = select_clips(learn, task, data[1], "train")
    gaits, moving_targets = fit_family(learn, task, clips)
    sizes = GaitSizes(
        history=learn.history,
        joints=tuple(clips.joints),
        commands=tuple(clips.commands),
        moving_targets=tuple(moving_targets),
        terms=len(gaits.mean),
        directions=len(gaits.directions),
        hidden=learn.hidden_size,
    )
    return {
        **describe_layout(learn, task, data[0]),
        "sizes": to_json_value(sizes),
        "cycle": gaits.cycle * task.dt,
    }


def prepare(
    learn: MotionSettings,
    task: Task,
    data: tuple[Demonstrations, Demonstrations],
    device: torch.device,
    start: WarmStart | None,
) -> tuple[GaitPolicy, Objective]:
    """Return the policy to train and its objective, see `Supervised.prepare`."""
    description = describe(learn, task, data)
    train = select_clips(learn, task, data[1], "train")
    torch.manual_seed(learn.seed)
    policy = make_policy(description)
    gaits, _ = fit_family(learn, task, train)
    policy.load_gaits(gaits, scale_of(train))
    policy.to(device)
    if start is not None:
        start_policy(policy, start)
    freeze(policy, learn.freeze)
    validation = select_clips(learn, task, data[0], "validation")
    original = select_clips(learn, task, data[0], "train")
    loss = _GaitLoss(learn, policy, gaits, (train, original, validation))
    return policy, Objective(
        loss=loss.loss,
        evaluate=loss.evaluate,
        monitor="validation/error",
        windows=len(loss.starts),
        static=True,
    )


def make_policy(description: Json) -> GaitPolicy:
    """Return the policy of a description, with random weights and without a family."""
    sizes = from_json_value(description["sizes"], GaitSizes, Path(DESCRIPTION))
    return GaitPolicy(from_json(PolicyLayout, description["layout"]), sizes)


def fit_family(learn: MotionSettings, task: Task, clips: Clips) -> tuple[Gaits, list[int]]:
    """Return the gaits of training clips, and the indices of the targets that move.

    In physics all of them do: a joint at rest in the clips is a servo that has to hold its angle.
    """
    angles = clips.angles()
    scale = scale_of(clips)
    std = np.sqrt(np.mean([clip.var(axis=0) for clip in angles], axis=0))
    moves = std > STILL if task.environment is None else np.ones(len(std), bool)
    moving_targets = np.flatnonzero(moves).tolist()
    commands = (clips.mean_commands() - scale.command_mean) / scale.command_std
    cycle = learn.cycle / task.dt if learn.cycle else 0.0
    curves = [clip[:, moving_targets] for clip in angles]
    gaits = fit_gaits(curves, list(commands), _HARMONICS, _DIRECTIONS, cycle)
    return gaits, moving_targets


def scale_of(clips: Clips) -> ClipScale:
    """Return the means and standard deviations of clips."""
    commands = clips.mean_commands()
    std = commands.std(axis=0)
    return ClipScale(
        command_mean=commands.mean(axis=0),
        command_std=np.where(std > 1e-6, std, 1.0),
        rest_mean=np.concatenate(clips.angles()).mean(axis=0),
    )


class _GaitLoss:
    """Loss of rollouts through training windows, and validation errors.

    Args:
        learn: settings of `objectives.motion`.
        policy: the policy to train.
        gaits: of the training clips.
        clips: training clips with augmented copies, training clips without, validation clips.
    """

    def __init__(
        self,
        learn: MotionSettings,
        policy: GaitPolicy,
        gaits: Gaits,
        clips: tuple[Clips, Clips, Clips],
    ) -> None:
        self._learn = learn
        self._policy = policy
        train, original, validation = clips
        self._device = policy.moving_targets.device
        self._rows = torch.from_numpy(train.observed).to(self._device)
        self.starts, self._clip = self._windows(train, learn.horizon, learn.stride, "train")
        first = torch.tensor([start for start, _ in train.episodes], device=self._device)
        began = torch.from_numpy(gaits.phases).to(self._device)[self._clip]
        self._phases = began + (self.starts - first[self._clip]) * 2.0 * np.pi / gaits.cycle
        self._latents = torch.from_numpy(gaits.latents).float().to(self._device)
        commands = torch.from_numpy(train.mean_commands()).float().to(self._device)
        # Least-squares change of the command per unit of each latent, (R, M).
        self._command_slopes = torch.linalg.pinv(self._latents) @ (commands - commands.mean(dim=0))
        self._validation = torch.from_numpy(validation.observed).to(self._device)
        rows = sum(stop - start for start, stop in validation.episodes)
        stride = -(-rows // MAX_VALIDATION_WINDOWS)
        self._validation_starts, _ = self._windows(
            validation, EVALUATION_ROWS, stride, "validation"
        )
        std = np.concatenate(original.angles()).std(axis=0)[list(policy.sizes.moving_targets)]
        self._std = torch.tensor(std, dtype=torch.float32, device=self._device)
        commands = list(original.mean_commands())
        self._linear = LinearGait.fit(original.angles(), commands, learn.history)

    def _windows(
        self, clips: Clips, horizon: int, stride: int, split: str
    ) -> tuple[Tensor, Tensor]:
        """Return first row and clip of each window, (W,), (W,)."""
        starts, of = clips.starts(self._learn.history + horizon, stride)
        if not len(starts):
            raise BadInput(
                f"{split} split",
                f"no clip has {self._learn.history + horizon} rows",
                expected=f"learn.history and {horizon} rows after it",
                fix="use longer clips, a larger dataset.validation, or a shorter learn.history",
            )
        return torch.from_numpy(starts).to(self._device), torch.from_numpy(of).to(self._device)

    def loss(self, which: Tensor, step: int, part: tuple[int, int] | None = None) -> Tensor:
        """Return the loss of windows (1, B) at a training step, a scalar."""
        indices = which.flatten()
        history = self._learn.history
        policy = self._policy
        noise = KeyedNoise(self._learn.seed, step, self._device, (1, part) if part else None)
        rows = self._gather(self._rows, self.starts[indices], self._learn.horizon)
        self._move(rows, indices, noise)
        truth = rows[:, history:].index_select(2, self._moving_columns)
        self._disturb(rows, noise)
        joints = rows[:, :history].index_select(2, policy.joint_columns)
        carry = carry_of(policy, joints[:, :-1])
        first = rows[:, history - 1]
        targets = rollout(policy, first, carry, self._learn.horizon, policy.joint_columns)
        error = (targets.index_select(2, policy.moving_targets) - truth) / self._std
        return torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=_HUBER_DELTA)

    @property
    def _moving_columns(self) -> Tensor:
        return self._policy.joint_columns[self._policy.moving_targets]

    def _move(self, rows: Tensor, indices: Tensor, noise: KeyedNoise) -> None:
        """Move windows (B, H + T, D) to random latents, and their commands accordingly."""
        policy = self._policy
        clip = self._clip[indices]
        change = noise.normal(len(rows), self._latents.shape[1]) - self._latents[clip]
        steps = torch.arange(rows.shape[1], device=self._device)
        phase = (self._phases[indices].unsqueeze(1) + steps * policy.phase_step).float()
        rows[..., self._moving_columns] += policy.curve(phase, change) - policy.curve(
            phase, 0.0 * change
        )
        rows[..., policy.command_columns] += (change @ self._command_slopes).unsqueeze(1)

    def _disturb(self, rows: Tensor, noise: KeyedNoise) -> None:
        """Add noise to the history of windows (B, H + T, D) and to the last command in it."""
        policy = self._policy
        history = self._learn.history
        joints = noise.normal(len(rows), history, len(self._moving_columns)) * policy.joint_scale
        commands = noise.normal(len(rows), len(policy.command_columns)) * policy.command_std
        rows[:, :history, self._moving_columns] += self._learn.noise * joints
        rows[:, history - 1, policy.command_columns] += self._learn.noise * commands

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return mean absolute joint errors of rollouts, rad: of the policy and the reference."""
        rows = self._gather(self._validation, self._validation_starts, EVALUATION_ROWS)
        policy = self._policy
        history = self._learn.history
        joints = rows.index_select(2, policy.joint_columns)
        past = joints[:, :history]
        truth = joints[:, history:]
        targets = rollout_from_history(policy, past, rows[:, history - 1], EVALUATION_ROWS)
        commands = rows[:, 0].index_select(1, policy.command_columns).double().cpu().numpy()
        line = self._linear.rollout(past.double().cpu().numpy(), commands, EVALUATION_ROWS)
        return {
            "validation/error": float((targets - truth).abs().mean()),
            "validation/linear": float(np.abs(line - truth.double().cpu().numpy()).mean()),
        }

    def _gather(self, rows: Tensor, starts: Tensor, horizon: int) -> Tensor:
        """Return windows (B, H + T, D) by their first rows."""
        steps = torch.arange(self._learn.history + horizon, device=self._device)
        return rows[starts.unsqueeze(1) + steps]
