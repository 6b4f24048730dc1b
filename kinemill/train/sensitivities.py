"""Slopes of rollouts with respect to the parameters of a dynamics step.

A rollout is x[k+1] = f(x[k], a[k], θ), where x holds the state and the carry. Its slopes obey
S[k+1] = ∂f/∂x S[k] + ∂f/∂θ (forward sensitivities; Dickinson and Gelinas, 1976). The rollout is
computed first, so both Jacobians of all steps and windows are independent of each other and are
made in large batches. Only small matrix products remain for each step.
Symbols: B windows, T horizon, S states, A actions, n size of x, P parameters, M rows of a batch.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, jvp, vmap

Window = tuple[Tensor, ...]  # states (B, H, S), past actions, actions (B, T, A), truth (B, T, S)

DIRECTIONS = 128  # columns of a Jacobian that are made together, bounds memory
ROWS = 1024  # rows of a batch
MOST_VALUES = 256  # n; beyond it, slopes are carried along the rollout instead
CELLS = 4_000_000  # numbers of the Jacobians of the steps that are made together


class OutOfTime(Exception):
    """The deadline passed before a computation was complete."""


@dataclass(frozen=True)
class Deadline:
    """End of a computation that can stop early.

    Attributes:
        at: `time.monotonic()` of it, s; None: there is none.
    """

    at: float | None = None

    def check(self) -> None:
        """Raise `OutOfTime` after the deadline."""
        if self.at is not None and time.monotonic() > self.at:
            raise OutOfTime


class _Packed(torch.nn.Module):
    """(x (M, n), actions (M, A)) -> (M, n), where x holds the state and the carry of a step."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step
        self.states = len(step.layout.states)
        self.sizes = [self.states]
        self.sizes += [int(torch.Size(shape).numel()) for shape in step.carry_shapes]

    def forward(self, x: Tensor, actions: Tensor) -> Tensor:
        state, *carry = x.split(self.sizes, dim=1)
        shapes = self.step.carry_shapes
        carry = [part.unflatten(1, shape) for part, shape in zip(carry, shapes, strict=True)]
        return self.pack(self.step(state, actions, *carry))

    def pack(self, parts: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([part.flatten(1) for part in parts], dim=1)


class _Initial(torch.nn.Module):
    """(states (B, H, S), past actions (B, H - 1, A)) -> x (B, n) before the first prediction."""

    def __init__(self, packed: _Packed) -> None:
        super().__init__()
        self.packed = packed

    def forward(self, states: Tensor, past_actions: Tensor) -> Tensor:
        carry = self.packed.step.warm_up(states, past_actions)
        return self.packed.pack((states[:, -1], *carry))


class _Whole(torch.nn.Module):
    """(window, horizon) -> errors of the rollout, flat (T B S,), in standard deviations."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def forward(self, window: Window, horizon: int) -> Tensor:
        states, past_actions, actions, truth = window
        values = self.step.rollout(states, past_actions, actions[:, :horizon])
        missed = self.step.wrap(values - truth[:, :horizon])
        return (missed / self.step.state_std).transpose(0, 1).flatten()


class Rollouts:
    """Errors of a step's rollouts over windows, in standard deviations, and their slopes.

    Args:
        step: a float64 copy; its parameters are overwritten.
        window: of all rollouts, float64.
        deadline: checked before each rollout and each batch of Jacobians.
    """

    def __init__(self, step: Any, window: Window, deadline: Deadline) -> None:
        self._step, self._window, self._deadline = step, window, deadline
        self._packed, self._whole = _Packed(step), _Whole(step)
        self._initial = _Initial(self._packed)
        self._parameters = {
            name: value for name, value in step.named_parameters() if value.requires_grad
        }
        step.requires_grad_(False)  # forward mode needs no graph
        self._size = sum(self._packed.sizes)
        self._latest: tuple[Tensor, Tensor] | None = None  # parameters, and what they visited

    def named(self, flat: Tensor, prefix: str = "") -> dict[str, Tensor]:
        """Return the parameters in a flat vector (P,) by name."""
        parts = flat.split([value.numel() for value in self._parameters.values()])
        named = zip(self._parameters.items(), parts, strict=True)
        return {f"{prefix}{name}": part.view_as(value) for (name, value), part in named}

    def count(self, horizon: int) -> int:
        """Return the number of errors, T B S."""
        return self._window[3][:, :horizon].numel()

    def errors(self, flat: Tensor, horizon: int) -> Tensor:
        """Return all errors at the parameters `flat` (P,): (T B S,)."""
        if self._size > MOST_VALUES:
            self._deadline.check()
            self._set(flat)
            return self._whole(self._window, horizon)
        return self._missed(self._roll(flat, horizon)).flatten()

    def normal(self, flat: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
        """Return the normal equations Jᵀ J (P, P) and Jᵀ r (P,) at the parameters `flat` (P,)."""
        square, gradient = flat.new_zeros(len(flat), len(flat)), torch.zeros_like(flat)
        for errors, slopes in self._parts(flat, horizon):
            square += slopes.T @ slopes
            gradient += slopes.T @ errors
        return square, gradient

    def _set(self, flat: Tensor) -> None:
        for value, part in zip(self._parameters.values(), self.named(flat).values(), strict=True):
            value.copy_(part)

    def _parts(self, flat: Tensor, horizon: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield errors (N,) and their slopes (N, P), some steps of all windows at once."""
        if self._size > MOST_VALUES:
            yield self._along_the_rollout(flat, horizon)
            return
        actions, std = self._window[2][:, :horizon].transpose(0, 1), self._step.state_std
        states, batch = self._packed.states, actions.shape[1]
        visited = self._roll(flat, horizon)
        missed = self._missed(visited)
        slopes = self._initial_slopes(flat)
        many = max(1, CELLS // (batch * self._size * (self._size + len(flat))))
        for first in range(0, horizon, many):
            some = slice(first, min(horizon, first + many))
            by_x, by_parameter = self._jacobians(flat, visited[:-1][some], actions[some])
            rows: list[Tensor] = []
            for own, added in zip(by_x, by_parameter, strict=True):
                slopes = torch.baddbmm(added, own, slopes)
                rows.append(slopes[:, :states])
            scaled = torch.stack(rows) / std.unsqueeze(1)
            yield missed[some].flatten(), scaled.flatten(0, 2)

    def _roll(self, flat: Tensor, horizon: int) -> Tensor:
        """Return x before the first step and after each, (T + 1, B, n); the latest is cached."""
        if self._latest is not None:
            earlier, visited_then = self._latest
            if earlier is flat and len(visited_then) == horizon + 1:
                return visited_then
        self._deadline.check()
        self._set(flat)
        states, past_actions, actions, _ = self._window
        visited = [self._initial(states, past_actions)]
        for action in actions[:, :horizon].unbind(1):
            visited.append(self._packed(visited[-1], action))
        self._latest = flat, torch.stack(visited)
        return self._latest[1]

    def _missed(self, visited: Tensor) -> Tensor:
        """Return the errors (T, B, S) of what a rollout visited."""
        truth = self._window[3][:, : len(visited) - 1].transpose(0, 1)
        values = visited[1:, :, : self._packed.states]
        return self._step.wrap(values - truth) / self._step.state_std

    def _initial_slopes(self, flat: Tensor) -> Tensor:
        """Return ∂x/∂θ before the first step, (B, n, P)."""
        states, past_actions, *_ = self._window

        def initial(flat: Tensor) -> Tensor:
            own = self.named(flat, "packed.step.")
            return functional_call(self._initial, own, (states, past_actions))

        if self._step.history == 1:
            return flat.new_zeros(len(states), self._size, len(flat))
        return torch.cat([*self._columns(initial, flat)]).movedim(0, -1)

    def _jacobians(self, flat: Tensor, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return ∂f/∂x (T, B, n, n) and ∂f/∂θ (T, B, n, P) of x (T, B, n), actions (T, B, A)."""
        own, by_x, by_parameter = self.named(flat, "step."), list[Tensor](), list[Tensor]()
        rows = zip(x.flatten(0, 1).split(ROWS), actions.flatten(0, 1).split(ROWS), strict=True)
        for some, under in rows:

            def move(shift: Tensor, some: Tensor = some, under: Tensor = under) -> Tensor:
                return functional_call(self._packed, own, (some + shift, under))

            def change(flat: Tensor, some: Tensor = some, under: Tensor = under) -> Tensor:
                return functional_call(self._packed, self.named(flat, "step."), (some, under))

            by_x.append(torch.cat([*self._columns(move, torch.zeros_like(some[0]))]).movedim(0, -1))
            by_parameter.append(torch.cat([*self._columns(change, flat)]).movedim(0, -1))
        sizes = x.shape[:2]
        return torch.cat(by_x).unflatten(0, sizes), torch.cat(by_parameter).unflatten(0, sizes)

    def _along_the_rollout(self, flat: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
        """Return errors (N,) and slopes (N, P), carried along the rollout with each parameter."""

        def errors(flat: Tensor) -> Tensor:
            return functional_call(self._whole, self.named(flat, "step."), (self._window, horizon))

        return errors(flat), torch.cat([*self._columns(errors, flat)]).movedim(0, -1)

    def _columns(self, function: Callable[[Tensor], Tensor], at: Tensor) -> Iterator[Tensor]:
        """Yield derivatives along unit vectors (some, ...) by forward mode."""

        def along(direction: Tensor) -> Tensor:
            return jvp(function, (at,), (direction,))[1]

        unit = torch.eye(len(at), dtype=at.dtype, device=at.device)
        for directions in unit.split(DIRECTIONS):
            self._deadline.check()
            yield vmap(along)(directions)
