"""Gauss-Newton fit of models with few parameters to rollouts.

Levenberg (1944) and Marquardt (1963): (Jᵀ J + λ D) δ = Jᵀ r, with λ small while steps help. It fits
gray-box and polynomial state-space models: the effects of their parameters differ too much for one
learning rate.

J holds the slopes of rollouts with respect to the parameters of a step. A rollout is x[k+1] =
f(x[k], a[k], θ), where x holds the state and the carry. Its slopes obey S[k+1] = ∂f/∂x S[k] + ∂f/∂θ
(forward sensitivities; Dickinson and Gelinas, 1976). The rollout is computed first. Then the
Jacobians of all steps and windows are independent of each other and are computed in large batches,
and only small matrix products remain for each step. Parts of the carry that are constant once the
history is full (`settled` of a network) are left out of x: a model with one state and two hidden
states has n = 3, for any length of history.

Symbols: N and B windows, T horizon, S states, A actions, n size of x, P parameters, M rows of a
batch, r residuals, J their derivatives (., P).
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.func import functional_call, jacrev, jvp, vmap

from kinemill.errors import BadInput
from kinemill.train.data import Windows
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.step import Step
from kinemill.train.time_limit import OutOfTime, check_time, time_limit

MOST = 1000  # largest number of parameters: the normal equations have as many columns
LEAST = 1e-3  # the fit ends after an iteration with a smaller relative gain
HOPELESS = 1e9  # largest λ tried

_Window = tuple[Tensor, ...]  # states (B, H, S), past actions, actions (B, T, A), truth (B, T, S)

_DIRECTIONS = 128  # columns of a Jacobian that are computed together; bounds memory
_ROWS = 1024  # rows of a batch
MOST_VALUES = 256  # largest n; above it, slopes are differentiated through the whole rollout
_CELLS = 4_000_000  # numbers of the Jacobians that are computed together; bounds memory


def fit_rollouts(
    step: Step, windows: Windows, which: Tensor, settings: GaussNewton, seconds: float | None = None
) -> None:
    """Fit the parameters of `step` to its rollouts over the windows `which`, in place, in float64.

    The first fit is over a quarter of the horizon: with poor parameters, long rollouts diverge and
    their gradients do not lead to the minimum.

    Args:
        step: a `train.step.Step`.
        windows: training windows.
        which: numbers of windows, (N,) int64; `settings.windows` of them are used.
        settings: settings of the fit.
        seconds: time limit, s; after it the best parameters so far are set. None: no limit.

    Raises:
        BadInput: The step has more than MOST parameters.
    """
    parameters = [value for value in step.parameters() if value.requires_grad]
    count = sum(value.numel() for value in parameters)
    if count > MOST:
        raise BadInput(
            "learn.gauss_newton",
            f"{count} parameters",
            expected=f"at most {MOST}",
            fix="remove learn.gauss_newton, and train by gradients alone",
        )
    subset = which[torch.linspace(0, len(which) - 1, min(settings.windows, len(which))).long()]
    with nullcontext() if seconds is None else time_limit(seconds):
        window = tuple(part.double() for part in windows.gather(subset.to(windows.values.device)))
        rollouts = Rollouts(copy.deepcopy(step).double(), window)
        flat = first = torch.cat([value.detach().double().flatten() for value in parameters])
        for horizon in sorted({max(1, windows.horizon // 4), windows.horizon}):
            problem = _Problem(rollouts, horizon, first, settings.ridge)
            flat = problem.minimize(flat, settings.iterations)
    with torch.no_grad():
        sizes = [value.numel() for value in parameters]
        for value, values in zip(parameters, flat.split(sizes), strict=True):
            value.copy_(values.view_as(value))


class Rollouts:
    """Errors of a step's rollouts over windows, in standard deviations, and their slopes.

    Args:
        step: a float64 copy; its parameters are overwritten.
        window: states, past actions, actions and truth of all rollouts, float64, task units.

    `errors` and `normal` raise `OutOfTime` after the time limit of the context, which is checked
    before each rollout and each batch of Jacobians.
    """

    def __init__(self, step: Step, window: _Window) -> None:
        self._step = step
        self._window = window
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
            check_time()
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
        many = max(1, _CELLS // (len(slopes) * self._size * (self._size + len(flat))))
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
        check_time()
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
        rows = zip(x.flatten(0, 1).split(_ROWS), actions.flatten(0, 1).split(_ROWS), strict=True)
        make = self._backward if 2 * self._size < len(flat) else self._forward
        for chunk, under in rows:
            check_time()
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
        for directions in unit.split(_DIRECTIONS):
            check_time()
            yield vmap(along)(directions)


class _Problem:
    """Squared errors of rollouts over a horizon, with a penalty on parameter changes.

    Args:
        rollouts: rollouts of the step.
        horizon: T, steps.
        first: initial parameters, at which the penalty is 0, (P,).
        ridge: weight of the penalty, relative to the number of errors.
    """

    def __init__(self, rollouts: Rollouts, horizon: int, first: Tensor, ridge: float) -> None:
        self._rollouts = rollouts
        self._horizon = horizon
        self._first = first
        self._ridge = ridge

    def minimize(self, flat: Tensor, iterations: int) -> Tensor:
        """Return the parameters (P,) after steps that each decreased the squared errors."""
        try:
            squares = self._squares(flat)
            damping = 1e-2
            for _ in range(iterations):
                earlier = squares
                flat, squares, damping = self._improve(flat, squares, damping)
                if squares > (1.0 - LEAST) * earlier or not math.isfinite(squares):
                    break
        except OutOfTime:
            pass  # `flat` holds the last complete step
        return flat

    def _squares(self, flat: Tensor) -> float:
        errors = self._rollouts.errors(flat, self._horizon)
        pull = self._ridge * errors.numel() * (flat - self._first).square().sum()
        return float(errors.square().sum() + pull)

    def _improve(self, flat: Tensor, squares: float, damping: float) -> tuple[Tensor, float, float]:
        """Return parameters with smaller squares, these squares, and the next damping."""
        square, gradient = self._rollouts.normal(flat, self._horizon)
        pull = self._ridge * self._rollouts.count(self._horizon)
        square.diagonal().add_(pull)
        gradient = gradient + pull * (flat - self._first)
        # Marquardt's D is the diagonal alone. The mean bounds parameters that hardly affect errors.
        scale = square.diagonal() + 1e-3 * square.diagonal().mean()
        while damping <= HOPELESS:
            moved = flat - torch.linalg.solve(square + torch.diag(damping * scale), gradient)
            after = self._squares(moved)
            if after < squares:  # never true for NaN
                return moved, after, max(damping / 4.0, 1e-9)
            damping *= 4.0
        return flat, squares, damping


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

    def forward(self, window: _Window, horizon: int) -> Tensor:
        states, past_actions, actions, truth = window
        values = self.step.rollout(states, past_actions, actions[:, :horizon])
        missed = self.step.wrap(values - truth[:, :horizon])
        return (missed / self.step.state_std).transpose(0, 1).flatten()
