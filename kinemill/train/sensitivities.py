"""Slopes of rollouts with respect to the parameters of a dynamics step.

A rollout is x[k+1] = f(x[k], a[k], θ), where x holds the state and the carry. Its slopes obey
S[k+1] = ∂f/∂x S[k] + ∂f/∂θ (forward sensitivities; Dickinson and Gelinas, 1976). The rollout is
computed first. Then the Jacobians of all steps and windows are independent of each other and are
computed in large batches, and only small matrix products remain for each step. Parts of the carry
that are constant once the history is full (`settled` of a network) are left out of x: a model with
one state and two hidden states has n = 3, for any length of history.

Symbols: B windows, T horizon, S states, A actions, n size of x, P parameters, M rows of a batch.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, jacrev, jvp, vmap

from kinemill.train.step import Step
from kinemill.train.time_limit import OutOfTime, check_time

Window = tuple[Tensor, ...]  # states (B, H, S), past actions, actions (B, T, A), truth (B, T, S)

DIRECTIONS = 128  # columns of a Jacobian that are computed together; bounds memory
ROWS = 1024  # rows of a batch
MOST_VALUES = 256  # largest n; above it, slopes are differentiated through the whole rollout
CELLS = 4_000_000  # numbers of the Jacobians that are computed together; bounds memory


@dataclass(frozen=True)
class Deadline:
    """End of a computation that can stop early.

    Attributes:
        at: value of `time.monotonic()`, s; None: no deadline.
    """

    at: float | None = None

    def check(self) -> None:
        """Check that the deadline and the time limit of the context are not over.

        Raises:
            OutOfTime: One of them is over.
        """
        check_time()
        if self.at is not None and time.monotonic() > self.at:
            raise OutOfTime("deadline", "is over")


class _Packed(torch.nn.Module):
    """(x (M, n), actions (M, A)) -> (M, n), where x holds the state and the carry of a step.

    Attributes:
        lead: number of steps in `_Initial`: 1 if x leaves out parts that settle in the first step.
    """

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.states = len(step.layout.states)
        is_plain = not step.sliding and not step.has_origin
        self.settled: dict[int, float] = getattr(step.network, "settled", {}) if is_plain else {}
        self.lead = 1 if self.settled else 0
        self.lasting = [n for n in range(len(step.carry_shapes)) if n not in self.settled]
        shapes = [torch.Size(step.carry_shapes[number]) for number in self.lasting]
        self.sizes = [self.states, *(int(shape.numel()) for shape in shapes)]

    def forward(self, x: Tensor, actions: Tensor) -> Tensor:
        state, *parts = x.split(self.sizes, dim=1)
        carry = [
            x.new_full((len(x), *shape), self.settled.get(number, 0.0))
            for number, shape in enumerate(self.step.carry_shapes)
        ]
        for number, part in zip(self.lasting, parts, strict=True):
            carry[number] = part.unflatten(1, self.step.carry_shapes[number])
        return self.pack(self.step(state, actions, *carry))

    def pack(self, parts: tuple[Tensor, ...]) -> Tensor:
        state, *carry = parts
        return torch.cat([state, *(carry[number].flatten(1) for number in self.lasting)], dim=1)


class _Initial(torch.nn.Module):
    """(states (B, H, S), past actions (B, H - 1, A), action (B, A)) -> x (B, n) at the start."""

    def __init__(self, packed: _Packed) -> None:
        super().__init__()
        self.packed = packed

    def forward(self, states: Tensor, past_actions: Tensor, action: Tensor) -> Tensor:
        step = self.packed.step
        parts = states[:, -1], *step.warm_up(states, past_actions)
        for _ in range(self.packed.lead):
            parts = step(parts[0], action, *parts[1:])
        return self.packed.pack(parts)


class _Whole(torch.nn.Module):
    """(window, horizon) -> errors of the rollout, flat (T B S,), in standard deviations."""

    def __init__(self, step: Step) -> None:
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
        window: states, past actions, actions and truth of all rollouts, float64, task units.
        deadline: checked before each rollout and each batch of Jacobians. `errors` and `normal`
            raise `OutOfTime` after it.
    """

    def __init__(self, step: Step, window: Window, deadline: Deadline) -> None:
        self._step = step
        self._window = window
        self._deadline = deadline
        self._packed, self._whole = _Packed(step), _Whole(step)
        self._initial = _Initial(self._packed)
        self._parameters = {
            name: value for name, value in step.named_parameters() if value.requires_grad
        }
        step.requires_grad_(False)  # forward mode needs no graph
        self._size = sum(self._packed.sizes)
        # Parameters, horizon, and the visited states.
        self._latest: tuple[Tensor, int, Tensor] | None = None

    def named(self, flat: Tensor, prefix: str = "") -> dict[str, Tensor]:
        """Split a flat vector of parameters (P,) into tensors by name."""
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
        square = flat.new_zeros(len(flat), len(flat))
        gradient = torch.zeros_like(flat)
        for errors, slopes in self._parts(flat, horizon):
            square += slopes.T @ slopes
            gradient += slopes.T @ errors
        return square, gradient

    def _set(self, flat: Tensor) -> None:
        for value, part in zip(self._parameters.values(), self.named(flat).values(), strict=True):
            value.copy_(part)

    def _parts(self, flat: Tensor, horizon: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield errors (N,) and their slopes (N, P), for one block of steps of all windows each."""
        if self._size > MOST_VALUES:
            yield self._along_the_rollout(flat, horizon)
            return
        std = self._step.state_std
        states = self._packed.states
        lead = self._packed.lead
        actions = self._window[2][:, lead:horizon].transpose(0, 1)
        visited = self._roll(flat, horizon)
        missed = self._missed(visited)
        slopes = self._initial_slopes(flat)
        for errors in missed[:lead]:
            yield errors.flatten(), (slopes[:, :states] / std.unsqueeze(1)).flatten(0, 1)
        missed = missed[lead:]
        many = max(1, CELLS // (len(slopes) * self._size * (self._size + len(flat))))
        for first in range(0, len(actions), many):
            chunk = slice(first, min(len(actions), first + many))
            by_x, by_parameter = self._jacobians(flat, visited[:-1][chunk], actions[chunk])
            rows: list[Tensor] = []
            for by_state, added in zip(by_x, by_parameter, strict=True):
                # Chain rule: dx[k+1]/dp = df/dp + df/dx · dx[k]/dp.
                slopes = torch.baddbmm(added, by_state, slopes)
                rows.append(slopes[:, :states])
            scaled = torch.stack(rows) / std.unsqueeze(1)
            yield missed[chunk].flatten(), scaled.flatten(0, 2)

    def _roll(self, flat: Tensor, horizon: int) -> Tensor:
        """Return x at the start and after each step, (T + 1 - lead, B, n); cache the result."""
        if self._latest is not None:
            earlier, steps, visited_then = self._latest
            if earlier is flat and steps == horizon:
                return visited_then
        self._deadline.check()
        self._set(flat)
        states, past_actions, actions, _ = self._window
        visited = [self._initial(states, past_actions, actions[:, 0])]
        for action in actions[:, self._packed.lead : horizon].unbind(1):
            visited.append(self._packed(visited[-1], action))
        self._latest = flat, horizon, torch.stack(visited)
        return self._latest[2]

    def _missed(self, visited: Tensor) -> Tensor:
        """Return the errors (T, B, S) of the states of a rollout."""
        values = visited[1 - self._packed.lead :, :, : self._packed.states]
        truth = self._window[3][:, : len(values)].transpose(0, 1)
        return self._step.wrap(values - truth) / self._step.state_std

    def _initial_slopes(self, flat: Tensor) -> Tensor:
        """Return ∂x/∂θ at the start, (B, n, P)."""
        states, past_actions, actions, _ = self._window

        def initial(flat: Tensor) -> Tensor:
            weights = self.named(flat, "packed.step.")
            return functional_call(self._initial, weights, (states, past_actions, actions[:, 0]))

        if self._step.history + self._packed.lead == 1:
            return flat.new_zeros(len(states), self._size, len(flat))
        return torch.cat([*self._columns(initial, flat)]).movedim(0, -1)

    def _jacobians(self, flat: Tensor, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return ∂f/∂x (T, B, n, n) and ∂f/∂θ (T, B, n, P) of x (T, B, n), actions (T, B, A).

        Reverse mode takes n passes for all parameters, forward mode one per parameter and value.
        """
        by_x = list[Tensor]()
        by_parameter = list[Tensor]()
        rows = zip(x.flatten(0, 1).split(ROWS), actions.flatten(0, 1).split(ROWS), strict=True)
        make = self._backward if 2 * self._size < len(flat) else self._forward
        for chunk, under in rows:
            self._deadline.check()
            of_state, added = make(flat, chunk, under)
            by_x.append(of_state)
            by_parameter.append(added)
        sizes = x.shape[:2]
        return torch.cat(by_x).unflatten(0, sizes), torch.cat(by_parameter).unflatten(0, sizes)

    def _backward(self, flat: Tensor, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return ∂f/∂x (M, n, n) and ∂f/∂θ (M, n, P) of x (M, n), actions (M, A)."""

        def row(flat: Tensor, x: Tensor, action: Tensor) -> Tensor:
            parameters = self.named(flat, "step.")
            return functional_call(self._packed, parameters, (x[None], action[None]))[0]

        by_parameter, by_x = vmap(jacrev(row, (0, 1)), (None, 0, 0))(flat, x, actions)
        return by_x, by_parameter

    def _forward(self, flat: Tensor, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same as `_backward`, by forward mode."""
        weights = self.named(flat, "step.")

        def move(shift: Tensor) -> Tensor:
            return functional_call(self._packed, weights, (x + shift, actions))

        def change(flat: Tensor) -> Tensor:
            return functional_call(self._packed, self.named(flat, "step."), (x, actions))

        by_x = self._columns(move, torch.zeros_like(x[0]))
        by_parameter = self._columns(change, flat)
        return torch.cat([*by_x]).movedim(0, -1), torch.cat([*by_parameter]).movedim(0, -1)

    def _along_the_rollout(self, flat: Tensor, horizon: int) -> tuple[Tensor, Tensor]:
        """Return errors (N,) and slopes (N, P) by forward mode through the whole rollout."""

        def errors(flat: Tensor) -> Tensor:
            return functional_call(self._whole, self.named(flat, "step."), (self._window, horizon))

        return errors(flat), torch.cat([*self._columns(errors, flat)]).movedim(0, -1)

    def _columns(self, function: Callable[[Tensor], Tensor], at: Tensor) -> Iterator[Tensor]:
        """Yield batches of derivatives along unit vectors, (some, ...), by forward mode."""

        def along(direction: Tensor) -> Tensor:
            return jvp(function, (at,), (direction,))[1]

        unit = torch.eye(len(at), dtype=at.dtype, device=at.device)
        for directions in unit.split(DIRECTIONS):
            self._deadline.check()
            yield vmap(along)(directions)
