"""Scale of a model: statistics of states, outputs and encoded features of the training split.

Symbols: C columns, F features, H history, K coordinates.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.models.networks.scaling import LEAST_STD, nonzero_std, wrap_angles
from kinemill.task.plugins import Encoding
from kinemill.train.coordinate_network import SCALE as COORDINATE_STD
from kinemill.train.estimator import estimator_weights
from kinemill.train.layout import Layout

INVERSE = 1e-4  # standard deviations of a state, the error of an inverse transform
Parts = Callable[[], Iterator[Tensor]]


def scale_of(dataset: PackedDataset, layout: Layout) -> dict[str, Tensor]:
    """Return the tensors named in SCALES of `train.step`, float64, from the training split only.

    `state_std` is (S,) in task units, `feature_*` (F,), `output_*` (O,) in units of the outputs.
    The standard deviation of a constant channel counts as 1.

    Raises:
        BadInput: No training episode is long enough for the estimates of derived states.
    """
    mean = torch.tensor(dataset.mean, dtype=torch.float64)
    std = nonzero_std(torch.tensor(dataset.std, dtype=torch.float64))
    delta = nonzero_std(torch.tensor(dataset.delta_std, dtype=torch.float64))
    output_mean = list[Tensor]()
    output_std = list[Tensor]()
    for _, output in layout.outputs:
        column = layout.states.index(output.of)
        equal = output.relation == "equal"
        scale = std[column] if equal else delta[column]
        output_std.append(scale / layout.dt if output.relation == "derivative" else scale)
        output_mean.append(mean[column] if equal else torch.zeros((), dtype=torch.float64))
    feature_mean, feature_std = _feature_scale(dataset, layout)
    estimator = {"estimator.weight": estimator_weights(dataset, layout)} if layout.derived else {}
    if layout.coordinates is not None:
        estimator[COORDINATE_STD] = nonzero_std(_coordinate_scale(dataset, layout))
    return estimator | {
        "state_std": std[: len(layout.states)],
        "feature_mean": feature_mean,
        "feature_std": nonzero_std(feature_std, feature_mean),
        "output_mean": torch.stack(output_mean),
        "output_std": torch.stack(output_std),
    }


def _feature_scale(dataset: PackedDataset, layout: Layout) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature, (F,) float64 each; the latter may be 0.

    The scale of a relative coordinate is its motion in a history: the root mean square, or the
    maximum, of x[k + H] - x[k], also for differences to the previous row. Scaled by its own root
    mean square, a one-row difference would be mostly noise with a quantizing sensor or with
    measured velocities (see docs/training.md). Its mean is 0, so that the unknown difference of a
    first row, 0, is neutral.

    Raises:
        BadInput: A custom feature is not finite in the training split.
    """
    pairs: list[tuple[float, float]] = []
    if layout.transform is not None:
        pairs = [_of_transformed(dataset, layout, name) for name in layout.transformed]
    for encoding, columns in layout.groups if layout.transform is None else ():
        for part in range(encoding.parts):
            for column in columns:
                encoded = layout.encodings[column]
                pairs.append(_of_feature(dataset, layout, encoded, (column, part)))
    mean, std = zip(*pairs, strict=True)
    return torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)


def _of_feature(
    dataset: PackedDataset, layout: Layout, encoding: Encoding, column_and_part: tuple[int, int]
) -> tuple[float, float]:
    column, part = column_and_part
    if (stated := _stated(encoding.scale)) is not None:
        return stated
    if encoding.origin:
        return 0.0, _reach(dataset, column, layout.history, encoding.scale == "range")
    if encoding.type == "plain" and encoding.scale == "z_score":  # part of the dataset's statistics
        return float(dataset.mean[column]), float(dataset.std[column])

    def parts() -> Iterator[Tensor]:
        for values in _columns(dataset, column):
            yield encoding.encode(values)[part]

    return _range(parts) if encoding.scale == "range" else _moments(parts)


def _stated(scale: object) -> tuple[float, float] | None:
    """Return the mean and standard deviation that a scale states; None: those of the rows."""
    if isinstance(scale, tuple):
        low, high = scale
        return (low + high) / 2, (high - low) / 2
    return (0.0, 1.0) if scale == "none" else None


def _of_transformed(dataset: PackedDataset, layout: Layout, name: str) -> tuple[float, float]:
    """Return mean and standard deviation of a feature of `layout.transform`.

    Raises:
        BadInput: The feature is not finite in the training split.
    """
    scale = layout.encodings[0].scale
    transform = layout.transform
    assert transform is not None
    if (stated := _stated(scale)) is not None:
        return stated

    def parts() -> Iterator[Tensor]:
        for episode in dataset.of("train"):
            rows = torch.from_numpy(np.array(dataset.rows(episode), dtype=np.float64))
            channels = dict(zip((*layout.states, *layout.actions), rows.unbind(1), strict=True))
            yield transform.encode(channels)[name].detach()

    mean, std = _range(parts) if scale == "range" else _moments(parts)
    if not math.isfinite(mean + std):
        raise BadInput(
            f"learn.features: {transform.type}",
            f"feature {name!r} is not finite in the training split",
            expected="finite features of finite channels",
            fix="bound divisors and arguments of roots, as in torch.clamp(x, min=1e-6)",
        )
    return mean, std


def _coordinate_scale(dataset: PackedDataset, layout: Layout) -> Tensor:
    """Return the root mean square of each coordinate's change in one step, (K,) float64.

    Raises:
        BadInput: A coordinate is not finite, or `decode` is not the inverse of `encode`.
    """
    transform = layout.coordinates
    count = 0
    squares = torch.zeros(len(layout.coordinate_names))
    assert transform is not None
    std = torch.tensor(dataset.std[: len(layout.states)], dtype=torch.float64).clamp_min(LEAST_STD)
    period = 2.0 * math.pi * torch.tensor(layout.angles, dtype=torch.float64)
    for episode in dataset.of("train"):
        rows = np.array(dataset.rows(episode), dtype=np.float64)[:, : len(layout.states)]
        states = torch.from_numpy(rows)
        encoded = transform.encode(dict(zip(layout.states, states.unbind(1), strict=True)))
        decoded = transform.decode(encoded)
        restored = torch.stack([decoded[name] for name in layout.states], 1).detach()
        # The inverse may return an angle that differs by whole turns.
        _check_inverse(layout, wrap_angles(restored - states, period) / std)
        values = torch.stack([encoded[name] for name in layout.coordinate_names], 1).detach()
        squares = squares + values.diff(dim=0).square().sum(0)
        count += max(len(values) - 1, 0)
    return (squares / max(count, 1)).sqrt()


def _check_inverse(layout: Layout, errors: Tensor) -> None:
    """Check that decoded states equal the originals: errors (n, S) in standard deviations."""
    assert layout.coordinates is not None
    largest = torch.where(torch.isfinite(errors), errors.abs(), math.inf).max(0).values
    for name, error in zip(layout.states, largest.tolist(), strict=True):
        if error > INVERSE:
            raise BadInput(
                f"learn.coordinates: {layout.coordinates.type}",
                f"decode(encode(states)) differs by {error:.3g} standard deviations in {name!r}",
                expected=f"the same states, to {INVERSE:g}",
                fix="make decode the inverse of encode over the whole range of the states",
            )


def _columns(dataset: PackedDataset, column: int) -> Iterator[Tensor]:
    """Yield a column of each training episode, (rows,) float64."""
    for episode in dataset.of("train"):
        yield torch.from_numpy(np.asarray(dataset.rows(episode)[:, column], dtype=np.float64))


def _range(parts: Parts) -> tuple[float, float]:
    ends = [(part.min(), part.max()) for part in parts()]
    low = min(float(end[0]) for end in ends)
    high = max(float(end[1]) for end in ends)
    return (low + high) / 2, (high - low) / 2


def _moments(parts: Parts) -> tuple[float, float]:
    """Return mean and standard deviation in two passes: a sum of large squares loses digits."""
    count = sum(len(part) for part in parts())
    mean = sum(float(part.sum()) for part in parts()) / count
    square = sum(float((part - mean).square().sum()) for part in parts()) / count
    return mean, square**0.5


def _reach(dataset: PackedDataset, column: int, rows: int, largest: bool) -> float:
    """Return the motion of a column over `rows` rows, or over a whole shorter episode."""
    lags = (
        values[min(rows, len(values) - 1) :] - values[: -min(rows, len(values) - 1) or None]
        for values in _columns(dataset, column)
    )
    moved = torch.cat(list(lags))
    return float(moved.abs().max() if largest else moved.square().mean().sqrt())
