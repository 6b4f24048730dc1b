"""Rollouts in training: their loss, errors in validation, free runs.

Symbols: M members of an ensemble (1 without), B batch, H history, T horizon, S states, A actions, Y
channels that are predicted but not fed back, C = S + Y, W windows, R runs, L steps of the longest.
"""

from typing import Any

import torch
from torch import Tensor

from kinemill.task.plugins import Loss
from kinemill.train.build import step_of
from kinemill.train.data import Windows
from kinemill.train.ensemble import Ensemble
from kinemill.train.noise import KeyedNoise
from kinemill.train.robots import robots_set
from kinemill.train.step import Step

BOUNDS = 0.01  # weight of the bounds on the variance, Chua et al. 2018
CHUNK = 512  # windows per evaluation batch
BLOCKS = 10
LEFT_OUT = (2, 7)  # a fifth of the windows, in two blocks, left out to select terms
RUNS = 64
LONGEST = 400  # most rollouts, and most steps of each
LARGEST = 10.0  # upper bound of an error, in standard deviations

Part = tuple[int, int]  # of a part of a batch: first window, windows of the whole batch


class Rollouts:
    """The loss of `objectives.dynamics` on training windows, and the errors on validation windows.

    Args:
        learn: settings of `objectives.dynamics`.
        module: module to train, a `Step` or an `Ensemble`.
        train: training windows.
        watch: validation windows.
        robots: robot of each window, training (W,) and validation (V,); None: one robot.
    """

    def __init__(
        self,
        learn: Any,
        module: Any,
        train: Windows,
        watch: Windows,
        robots: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.learn = learn
        self.module = module
        self.train = train
        self.watch = watch
        self.robots, self.step = robots, step_of(module)
        self.ensemble = module if isinstance(module, Ensemble) else None
        self.noise = self.ensemble.member.noise if self.ensemble else None
        self.names = (*self.step.layout.states, *self.step.layout.output_channels)
        self.std = self.step.state_std
        self.weights = self._weights()
        self.penalty = learn.loss.terms if isinstance(learn.loss, Loss) else torch.square
        disturbed_names = (*self.step.layout.states, *self.step.layout.actions)
        stds = [learn.noise.get(name, 0.0) for name in disturbed_names]
        self.disturbance = self.std.new_tensor(stds) if any(stds) else None

    def _weights(self) -> Tensor | None:
        """Return the weight of each scaled squared error, (C,), mean 1; None: all 1."""
        setting = self.learn.weights
        if setting == "variance":
            return None
        if setting == "unit":
            readout = self.step.readout
            parts = [self.std] if readout is None else [self.std, readout.output_std]
            weights = torch.cat(parts) ** 2
        else:
            weights = self.std.new_tensor([setting.get(name, 1.0) for name in self.names])
        return weights / weights.mean()

    def loss(self, which: Tensor, step: int, part: Part | None = None) -> Tensor:
        """Return the loss on windows (M, B) at a training step, summed over the members."""
        loss = self.terms(which, step, part).mean()
        loss = loss if self.members == 1 else loss * self.members
        return loss if self.noise is None else loss + BOUNDS * self.noise.slack

    def terms(self, which: Tensor, step: int, part: Part | None = None) -> Tensor:
        """Return the terms of the loss: (M, B, T, C), or M and B as one axis."""
        error, variance = self._errors(which, step, part)
        terms = self.penalty(error) if variance is None else doubted(error, variance)
        return terms if self.weights is None else terms * self.weights

    @property
    def members(self) -> int:
        """Number of members of the ensemble, 1 without one."""
        return self.ensemble.members if self.ensemble else 1

    @property
    def steady(self) -> bool:
        """Whether the loss of a window does not depend on the training step."""
        is_alone = self.robots is None and self.ensemble is None
        return self.static and is_alone and not self.learn.noise

    @property
    def static(self) -> bool:
        """Whether all steps run the same operations on the device."""
        return self.learn.horizon_schedule is None

    def _errors(self, which: Tensor, step: int, part: Part | None) -> tuple[Tensor, Tensor | None]:
        """Return scaled errors and variances: (M, B, T, C), or M and B as one axis."""
        horizon = self.learn.horizon_at(step)
        flat = which.flatten()
        states, past, actions, truth = self.train.gather_channels(flat)
        actions = actions[:, :horizon]
        truth = truth[:, :horizon]
        robots = self.robots[0][flat] if self.robots else None
        keyed = None if part is None else (self.members, part)
        noise = KeyedNoise(self.learn.seed, step, flat.device, keyed)
        if self.disturbance is not None:
            states, past, actions = disturbed(self.disturbance, noise, states, past, actions)
        if self.ensemble is None:
            with robots_set(self.module, robots):
                predicted = self.module.rollout_channels(states, past, actions)
            return self.step.errors(predicted, truth), None
        rows = which.view(self.members, -1).shape
        data = [states, past, actions, *([robots] if robots is not None else [])]
        predicted, variance = self.ensemble.unroll(*(part.unflatten(0, rows) for part in data))
        error = self.step.errors(predicted, truth.unflatten(0, rows))
        return error, None if self.noise is None else variance / self.std**2

    def evaluate(self) -> dict[str, float]:
        """Return the RMS errors on the validation windows, in standard deviations.

        With a learned variance, `likelihood` is the mean negative log-likelihood by the total
        variance.
        """
        squares = list[Tensor]()
        likelihoods = list[Tensor]()
        with torch.no_grad():
            for part in torch.arange(len(self.watch), device=self.std.device).split(CHUNK):
                error, variance = self._validation_errors(part)
                squares.append(error.square())
                if variance is not None:
                    likelihoods.append(doubted(error, variance))
        whole = torch.cat(squares)
        errors = {
            "validation/single_step": whole[:, 0].mean().sqrt().item(),
            "validation/multi_step": whole.mean().sqrt().item(),
        }
        if likelihoods:
            errors["validation/likelihood"] = torch.cat(likelihoods).mean().item()
        return errors

    def _validation_errors(self, which: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return errors (B, T, C) and, with noise, total variances, in standard deviations."""
        states, past, actions, truth = self.watch.gather_channels(which)
        robots = self.robots[1][which] if self.robots else None
        with robots_set(self.module, robots):
            if self.ensemble is None or self.noise is None:
                predicted = self.module.rollout_channels(states, past, actions)
                variance = None
            else:
                predicted, offsets, own_part = self.ensemble.bundle(states, past, actions)
                variance = (own_part + offsets.square().mean(2)) / self.std**2
        return self.step.errors(predicted, truth), variance


def doubted(error: Tensor, variance: Tensor) -> Tensor:
    """Return the negative log-likelihood of Gaussian errors (...) with a variance (...).

    The constant ½ log 2π is left out. Errors are in standard deviations, variances squared.
    """
    return 0.5 * (error.square() / variance + variance.log())


def disturbed(
    stds: Tensor, noise: KeyedNoise, states: Tensor, past: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return history (B, H, S), (B, H-1, A) and actions (B, T, A) with noise of stds (S + A,).

    Stds are in task units. The targets do not change, so a model learns to return to them.
    """
    count = states.shape[2]
    pairs = ((states, stds[:count]), (past, stds[count:]), (actions, stds[count:]))
    noisy = [part + std * noise.normal(*part.shape) for part, std in pairs]
    return noisy[0], noisy[1], noisy[2]


def is_left_out(windows: Windows) -> Tensor:
    """Return which windows are left out of a fit, (W,) bool: two blocks of consecutive windows.

    With so few windows that the blocks are empty, it is the last window.
    """
    numbers = torch.arange(len(windows), device=windows.starts.device)
    blocks = torch.tensor(LEFT_OUT, device=numbers.device)
    mask = torch.isin(numbers * BLOCKS // len(windows), blocks)
    return mask if mask.any() else numbers == len(windows) - 1


class FreeRuns:
    """Rollouts over the rows of some windows, each up to the last consecutive window.

    Args:
        windows: training windows.
        mask: windows to use, (W,) bool.
    """

    def __init__(self, windows: Windows, mask: Tensor) -> None:
        starts = windows.starts[mask]
        final = torch.ones(len(starts), dtype=torch.bool, device=starts.device)
        final[:-1] = starts[1:] - starts[:-1] != 1
        run = final.cumsum(0) - final.long()
        steps = starts[final][run] - starts + windows.horizon
        spaced = torch.linspace(0, len(starts) - 1, min(RUNS, len(starts))).long()
        self._starts, self._steps = starts[spaced], steps[spaced].clamp(max=LONGEST)
        self._windows = windows

    @torch.no_grad()
    def error_of(self, step: Step) -> float:
        """Return the geometric mean of the errors after 1, 2, 4, ... steps, in standard deviations.

        A geometric mean weighs a factor of two in the error equally at every horizon.

        Args:
            step: with `rollout(states (R, H, S), past_actions (R, H-1, A), actions (R, L, A))`,
                `wrap` and `state_std`.
        """
        windows = self._windows
        history = self._windows.history
        longest = int(self._steps.max())
        offsets = torch.arange(history + longest, device=self._starts.device)
        within = torch.minimum(offsets, (history + self._steps - 1).unsqueeze(1))  # (R, H + L)
        rows = windows.values[self._starts.unsqueeze(1) + within]
        states = rows[..., : windows.states]
        actions = rows[..., windows.states :]
        predicted = step.rollout(
            states[:, :history], actions[:, : history - 1], actions[:, history - 1 : -1]
        )
        missed = step.wrap(predicted - states[:, history:]) / step.state_std
        squares = missed.double().square().mean(2).nan_to_num(LARGEST**2).clamp(max=LARGEST**2)
        logarithms: list[Tensor] = []
        for steps in (2**power for power in range(longest.bit_length())):
            mean = squares[self._steps >= steps, steps - 1].mean()
            logarithms.append(torch.log(mean.clamp_min(torch.finfo(mean.dtype).tiny)))
        return float(torch.exp(0.5 * torch.stack(logarithms).mean()))
