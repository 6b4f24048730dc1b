"""Input checks before ONNX Runtime, which aborts the process at an empty batch or Scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinemill.errors import BadInput

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Axis:
    """One axis of an input: name, size (None: at least 1), channel names and their limits."""

    name: str
    size: int | None = None
    channels: tuple[str, ...] = ()
    limits: tuple[tuple[float, float], ...] = ()


def axis_of(
    name: str, channels: tuple[str, ...], limits: Mapping[str, tuple[float, float]]
) -> Axis:
    """Return the axis of channels with the limits of those that have some."""
    has_limits = not limits.keys().isdisjoint(channels)
    pairs = tuple(limits.get(channel, (-np.inf, np.inf)) for channel in channels)
    return Axis(name, len(channels), channels, pairs if has_limits else ())


def as_input(
    name: str, value: ArrayLike, axes: Sequence[Axis], *, finite: bool, dtype: str = "float32"
) -> Array:
    """Return `value` as a contiguous array of `dtype` with these axes.

    Args:
        name: name of the input, for messages.
        value: array, list or CPU tensor.
        axes: axes of the array, (...); the last one may have limits.
        finite: whether to reject NaN and infinity.
        dtype: type of the result.

    Raises:
        BadInput: The type, the shape or the order of labels is wrong, a value is beyond the limits
            of the last axis, or, if `finite`, a value is NaN or infinite.
    """
    if not isinstance(value, np.ndarray):
        _check_labels(name, value, axes[-1])
    array = _as_floats(name, value, dtype)
    # `_fits` is cheap and runs at every step of a robot; the explanation is only made on failure.
    if not _fits(array, axes):
        _check_shape(name, array, axes)
    if finite and not np.isfinite(array).all():
        raise _not_finite(name, array, axes)
    if axes[-1].limits:
        _check_limits(name, array, axes)
    return array


def _check_labels(name: str, value: object, axis: Axis) -> None:
    """Refuse a series or frame whose labels are the channels in another order, or with others."""
    labels = getattr(value, "columns", getattr(value, "index", ()))
    names = [] if callable(labels) else [str(label) for label in labels]  # `list.index` is a method
    if names != list(axis.channels) and not set(axis.channels).isdisjoint(names):
        expected = f"{', '.join(axis.channels)}, in this order"
        raise BadInput(name, f"has the labels {', '.join(names)}", expected=expected)


def _check_limits(name: str, array: Array, axes: Sequence[Axis]) -> None:
    # In the type of the array, so that a value equal to a rounded limit passes.
    low, high = np.array(axes[-1].limits, dtype=array.dtype).T
    beyond = (array < low) | (array > high)  # NaN is not beyond; `finite` decides about it
    if not beyond.any():
        return
    where = [int(index) for index in np.argwhere(beyond)[0]]
    least, most = axes[-1].limits[where[-1]]
    raise BadInput(
        f"{name}, {', '.join(_location(axes, where))}",
        f"is {array[tuple(where)]:g} ({int(beyond.sum())} such values in all)",
        expected=f"{least:g} to {most:g}, its limits",
        fix="load(..., out_of_limits='pass') passes the value to the model",
    )


def _location(axes: Sequence[Axis], where: Sequence[int]) -> list[str]:
    """Return the location of a value in an array, with channel names if available."""
    return [
        axis.channels[index] if axis.channels else f"{axis.name} {index}"
        for axis, index in zip(axes, where, strict=True)
    ]


def _fits(array: Array, axes: Sequence[Axis]) -> bool:
    if array.ndim != len(axes):
        return False
    for axis, size in zip(axes, array.shape, strict=True):
        if size != axis.size and (axis.size is not None or size == 0):
            return False
    return True


def to_array(name: str, value: object) -> NDArray[Any]:
    """Return a value as a numpy array (...) without changing its type; NaN where it is masked.

    Raises:
        BadInput: Rows have different lengths, or numpy cannot read the tensor.
    """
    try:
        if isinstance(value, np.ma.MaskedArray):
            return np.ma.filled(value.astype(float), np.nan)
        return np.asarray(value)
    except ValueError as error:
        raise BadInput(name, "has rows of different lengths", expected="one array") from error
    except (RuntimeError, TypeError) as error:  # torch: a gradient, another device, another layout
        raise BadInput(
            name,
            f"is a {type(value).__name__} that numpy cannot read ({error})",
            expected="an array",
            fix=f"pass {name}.detach().cpu().numpy()",
        ) from error


def _as_floats(name: str, value: ArrayLike, dtype: str) -> Array:
    array = to_array(name, value)
    if array.dtype.kind not in "fiu":
        raise BadInput(name, f"holds {array.dtype}", expected="real numbers")
    with np.errstate(over="ignore"):  # too large for float32: infinite, checked later
        return np.asarray(array, dtype=dtype, order="C")


def _check_shape(name: str, array: Array, axes: Sequence[Axis]) -> None:
    expected = "(" + ", ".join(_spell(axis) for axis in axes) + ")"
    if array.ndim == len(axes) - 1 and axes[0].name == "batch":
        fix = f"for a batch of one pass {name}[None]"
        raise BadInput(name, f"has shape {array.shape}", expected=expected, fix=fix)
    if array.ndim != len(axes):
        raise BadInput(name, f"has shape {array.shape}", expected=expected)
    for index, (axis, size) in enumerate(zip(axes, array.shape, strict=True)):
        if axis.size is None and size == 0:
            raise BadInput(
                name, f"has no {axis.name}: shape {array.shape}", expected=f"{expected}, each >= 1"
            )
        if axis.size is not None and size != axis.size:
            problem = f"has shape {array.shape}: axis {index} ({axis.name}) is {size} long"
            channels = f" for {', '.join(axis.channels)}" if axis.channels else ""
            raise BadInput(name, problem, expected=f"{expected}: {axis.size} {axis.name}{channels}")


def _spell(axis: Axis) -> str:
    return axis.name if axis.size is None else str(axis.size)


def _not_finite(name: str, array: Array, axes: Sequence[Axis]) -> BadInput:
    where = [int(index) for index in np.argwhere(~np.isfinite(array))[0]]
    count = int((~np.isfinite(array)).sum())
    return BadInput(
        f"{name}, {', '.join(_location(axes, where))}",
        f"is {array[tuple(where)]} ({count} such value{'s' if count > 1 else ''} in all)",
        expected="finite numbers",
        fix="load(..., non_finite='pass') gives NaN for such a row instead of this error",
    )


def same_batch(**arrays: Array) -> int:
    """Return the common batch size of arrays.

    Raises:
        BadInput: The batch sizes differ.
    """
    sizes = {name: len(array) for name, array in arrays.items()}
    batch = next(iter(sizes.values()))
    if any(size != batch for size in sizes.values()):
        problem = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise BadInput("batch", problem, expected="the same batch size in all")
    return batch
