"""Set up a dynamics model: the module to train, its objective, and the diagnosis of a NaN loss.

Symbols: N windows, H history, O outputs, M members, B windows of a batch.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset import PackedDataset
from kinemill.task import Task, WarmStart
from kinemill.train.batches import member_seed
from kinemill.train.build import assemble
from kinemill.train.data import Windows, make_windows, on_device, window_weights
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.ensemble import Ensemble
from kinemill.train.gauss_newton import fit_rollouts
from kinemill.train.layout import Layout, layout_of
from kinemill.train.objective import Objective, Suspect
from kinemill.train.objectives._rollouts import FreeRuns, Rollouts, is_left_out
from kinemill.train.readout import Readout, fit_readout
from kinemill.train.robots import robot_by_window
from kinemill.train.scaling import scale_of
from kinemill.train.step import Step
from kinemill.train.time_limit import check_time
from kinemill.train.transfer import freeze, start_weights

EXAMPLES = 8192  # windows per batch of a closed-form fit
FITTED = 100_000  # most windows of a closed-form fit, evenly spaced; more change weights little
VALIDATION_WINDOWS = 2048  # evenly spaced; more would cost time and change the error little
Data = tuple[PackedDataset, PackedDataset]


def prepare(
    learn: Any, task: Task, data: Data, device: torch.device, start: WarmStart | None
) -> tuple[Step | Ensemble, Objective]:
    """Return the module to train and its objective, see `Supervised.prepare`."""
    layout = layout_of(task)
    robots = learn.robots_in(data[1])
    train, watch = _windows(data, layout, learn.horizon, device)
    module = _module(learn, task, data, (train, watch), start)
    robot_numbers = None
    if len(robots) > 1:
        robot_numbers = (
            robot_by_window(data[1], robots, train.starts),
            robot_by_window(data[0], robots, watch.starts),
        )
    rollouts = Rollouts(learn, module, train, watch, robot_numbers)
    return module, Objective(
        loss=rollouts.loss,
        evaluate=rollouts.evaluate,
        monitor=f"validation/{learn.checkpoint}",
        windows=len(train),
        weights=window_weights(data[1], layout, learn.horizon),
        members=rollouts.members,
        steady=rollouts.steady,
        static=rollouts.static,
        suspect=Suspects(rollouts, data[1]),
    )


def _windows(
    data: Data, layout: Layout, horizon: int, device: torch.device
) -> tuple[Windows, Windows]:
    """Return the training and validation windows on the device."""
    train = make_windows(data[1], "train", layout, horizon)
    watch = make_windows(data[0], "validation", layout, horizon, most=VALIDATION_WINDOWS)
    return on_device(train, device), on_device(watch, device)


def _module(
    learn: Any, task: Task, data: Data, windows: tuple[Windows, Windows], start: WarmStart | None
) -> Step | Ensemble:
    """Return the initial module: random weights, a closed-form fit, or an earlier model."""
    layout = layout_of(task)
    robots = learn.robots_in(data[1])
    train, watch = windows
    newton = learn.gauss_newton
    starts = newton.n_init if newton and start is None else 1
    share = newton.seconds / (starts * learn.ensemble) if newton and newton.seconds else None
    readouts = list[Readout]()

    def first(step: Step, member: int) -> float:
        if start is not None:
            return 0.0
        which = drawn(len(train), learn.seed, member)
        step.to(train.values.device)
        if hasattr(step.network, "fit"):
            if member and hasattr(step.network, "hold_scale"):
                # Centers and gains come from all windows, so that members differ in weights only.
                fit_network(step, train, torch.arange(len(train)))
                step.network.hold_scale()
            fit_network(step, train, which)
        if getattr(step.network, "fits_sequences", False):
            step.network.fit_sequences(sequences(step, train, which))
        if newton is not None:
            _fit_rollouts(step, train, which, newton, share)
        if step.readout is not None:
            fit_readout(step, train, which, next(iter(readouts), None))
            readouts.append(step.readout)
        return error_of(step, watch) if starts > 1 else 0.0

    module = assemble(learn, layout, scale_of(data[0], layout), len(robots), first, starts)
    module.to(train.values.device)
    if start is not None:
        start_weights(module, start, {name: task.channels[name].unit for name in task.columns})
    freeze(module, learn.freeze)
    if start is not None and newton is not None and isinstance(module, Step):
        _fit_rollouts(module, train, drawn(len(train), learn.seed, 0), newton, share)
    return module


def _fit_rollouts(
    step: Step, windows: Windows, which: Tensor, settings: GaussNewton, seconds: float | None
) -> None:
    """Run `fit_rollouts` without the readout, whose parameters change no state."""
    readout = [] if step.readout is None else list(step.readout.parameters())
    learning = [parameter for parameter in readout if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad = False
    fit_rollouts(step, windows, which, settings, seconds)
    for parameter in learning:
        parameter.requires_grad = True


def drawn(windows: int, seed: int, member: int) -> Tensor:
    """Return the window numbers of a member, (N,): all for member 0, a bootstrap for others."""
    if member == 0:
        return torch.arange(windows)
    generator = torch.Generator().manual_seed(member_seed(seed, member))
    return torch.randint(windows, (windows,), generator=generator)


@torch.no_grad()
def error_of(step: Step, windows: Windows) -> float:
    """Return the mean squared error of a step's rollouts over all windows.

    It is in squared standard deviations of the states in training.
    """
    windows_order = torch.arange(len(windows), device=windows.values.device)
    sums = []
    for part in windows_order.split(EXAMPLES):
        states, past_actions, actions, truth = windows.gather(part)
        missed = step.wrap(step.rollout(states, past_actions, actions) - truth) / step.state_std
        sums.append(missed.square().mean((1, 2)))
    return float(torch.cat(sums).mean())


def fit_network(step: Step, windows: Windows, which: Tensor) -> None:
    """Fit a network in closed form to the windows with numbers `which`, (W,).

    A network with `select` chooses its terms first: it fits all windows but a share, and compares
    free-run errors over that share. `which` has no influence on the choice, so all members of an
    ensemble have the same terms.

    Raises:
        OutOfTime: The time limit is over.
    """
    with torch.no_grad():
        if hasattr(step.network, "select") and not step.network.holds_scale:
            left_out = is_left_out(windows)
            numbers = (~left_out).nonzero().flatten()
            spaced = numbers[_evenly_spaced(len(numbers), step.network.selection_rows)]
            runs = FreeRuns(windows, left_out)

            def error() -> float:
                check_time()
                return runs.error_of(step)

            step.network.select(examples(step, windows, spaced), error)
        step.network.fit(examples(step, windows, which[_evenly_spaced(len(which), FITTED)]))


def _evenly_spaced(count: int, most: int) -> Tensor:
    """Return at most `most` evenly spaced numbers below `count`, (N,) int64."""
    if count <= most:
        return torch.arange(count)
    return torch.linspace(0, count - 1, most, dtype=torch.float64).long()


def examples(module: Any, windows: Windows, which: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the network's inputs (N, H, ...) and target outputs (N, O) of the windows `which`.

    Raises:
        OutOfTime: The time limit is over.
    """
    for part in which.to(windows.values.device).split(EXAMPLES):
        check_time()
        states, past_actions, actions, truth = windows.gather(part)
        all_actions = torch.cat([past_actions, actions[:, :1]], dim=1)
        targets = module.target_outputs(states[:, -1], truth[:, 0])
        yield *module.window_inputs(states, all_actions), targets


@torch.no_grad()
def sequences(module: Any, windows: Windows, which: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield features (N, H + T, F) and target outputs (N, H + T - 1, O) of whole windows.

    At most EXAMPLES of the windows `which` are used, evenly spaced.
    """
    spaced = which[_evenly_spaced(len(which), EXAMPLES)].to(windows.values.device)
    states, past_actions, actions, truth = windows.gather(spaced)
    states = torch.cat([states, truth], dim=1)
    actions = torch.cat([past_actions, actions, actions[:, -1:]], dim=1)
    features, *_ = module.window_inputs(states, actions)
    present = states[:, :-1].flatten(0, 1)
    after = states[:, 1:].flatten(0, 1)
    yield features, module.target_outputs(present, after).unflatten(0, (len(states), -1))


class Suspects:
    """Find the cause of a loss that is not finite among the windows of a training set.

    Args:
        rollouts: the loss, and the training windows.
        training_set: packed training set of these windows.
    """

    def __init__(self, rollouts: Rollouts, training_set: PackedDataset) -> None:
        self._rollouts = rollouts
        self._data = training_set

    @torch.no_grad()
    def __call__(self, which: Tensor, step: int) -> Suspect:
        """Return the cause among windows (M, B) at a training step."""
        numbers = which.flatten().tolist()
        for window in numbers:
            if (suspect := self._in_data(window)) is not None:
                return suspect
        return self._in_rollouts(which, numbers, step)

    def _first(self, window: int) -> int:
        return int(self._rollouts.train.starts[window])

    def _in_data(self, window: int) -> Suspect | None:
        """Return the first value of a window that is not finite, or None."""
        first = self._first(window)
        train = self._rollouts.train
        rows = self._data.view(first, first + train.history + train.horizon)
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad) == 0:
            return None
        row, column = (int(index) for index in bad[0])
        value = float(rows[row, column])
        name = self._data.columns[column]
        suspect = f"the data are {value} in row {row} of the window"
        return Suspect(self._named(first), name, suspect, in_data=True)

    def _in_rollouts(self, which: Tensor, numbers: list[int], step: int) -> Suspect:
        """Return the first prediction that is not finite, or the one with the largest error."""
        terms = self._rollouts.terms(which.to(self._rollouts.std.device), step, None)
        terms = terms.reshape(len(numbers), *terms.shape[-2:]).cpu()
        bad = (~terms.isfinite()).nonzero()
        if len(bad):
            window, row_ahead, state = bad[bad[:, 1].argmin()].tolist()
            what = "its prediction is not finite"
        else:
            window, row_ahead, state = np.unravel_index(int(terms.argmax()), terms.shape)
            what = f"its term of the loss is {float(terms[window, row_ahead, state]):.3g}"
        suspect = f"{what} after {int(row_ahead) + 1} of {terms.shape[1]} steps"
        name = self._rollouts.names[int(state)]
        return Suspect(self._named(self._first(numbers[int(window)])), name, suspect, in_data=False)

    def _named(self, first: int) -> str:
        episode = next(
            packed for packed in self._data.episodes if packed.start <= first < packed.stop
        )
        return f"window from row {first - episode.start} of episode {episode.name}"
