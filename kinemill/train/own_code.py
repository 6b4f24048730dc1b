"""Custom losses, features and coordinates: code in a file of the project.

def huber(error: Tensor, delta: float = 1.0) -> Tensor: ...  # loss, (..., T, C) -> (..., T, C)
def transform(channels: dict[str, Tensor]) -> dict[str, Tensor]: ...  # features, (...) each
class Polar:  # coordinates
def __init__(self, radius: float = 1.0): ...
def encode(self, states: dict[str, Tensor]) -> dict[str, Tensor]: ...  # (...) each
def decode(self, coordinates: dict[str, Tensor]) -> dict[str, Tensor]: ...
"""

from collections.abc import Mapping
from typing import ClassVar, cast

from kinemill.errors import BadInput
from kinemill.task.own_code import OwnCode
from kinemill.task.plugins import Coordinates, Loss, Transform, V


class OwnLoss(OwnCode, Loss):
    """Settings of a custom loss."""

    arguments: ClassVar[tuple[str, ...]] = ("error",)
    protocol: ClassVar[type[Loss]] = Loss

    def terms(self, error: V) -> V:
        """Return the function's loss terms of errors (..., T, C), of the same shape.

        Raises:
            BadInput: The function fails, or its result is not a tensor of that shape.
        """
        terms = self.call(error)
        if getattr(terms, "shape", None) != getattr(error, "shape", ()):
            raise BadInput(
                f"learn.loss: {self.type}",
                f"returns {_shape_of(terms)}",
                expected=f"a tensor {_shape_of(error)}, one term for each error",
                fix="return the terms without their mean; learn.weights and the mean follow",
            )
        return terms


class OwnTransform(OwnCode, Transform):
    """Settings of custom features."""

    arguments: ClassVar[tuple[str, ...]] = ("channels",)
    protocol: ClassVar[type[Transform]] = Transform

    def encode(self, channels: Mapping[str, V]) -> Mapping[str, V]:
        """Return the features that the function computes, tensors (...) by name.

        Raises:
            BadInput: The function fails, or its result is not tensors by name.
        """
        shape = getattr(next(iter(channels.values())), "shape", ())
        where = f"learn.features: {self.type}"
        expected = f"tensors {tuple(shape)} by name"
        features = _by_name(self.call(dict(channels)), where, "returns", expected)
        for name, value in features.items():
            if getattr(value, "shape", None) != shape:
                problem = f"feature {name!r} is {_shape_of(value)}"
                raise BadInput(where, problem, expected=expected, fix="work row by row")
        return cast("Mapping[str, V]", features)


class OwnCoordinates(OwnCode, Coordinates):
    """Settings of custom coordinates."""

    arguments: ClassVar[tuple[str, ...]] = ()
    by_name: ClassVar[bool] = True
    protocol: ClassVar[type[Coordinates]] = Coordinates

    def encode(self, states: Mapping[str, V]) -> Mapping[str, V]:
        """Return the coordinates (...) by name of the states (...) by name, in task units.

        Raises:
            BadInput: The class lacks `encode`, or it fails or does not return tensors by name.
        """
        return self._transformed("encode", states)

    def decode(self, coordinates: Mapping[str, V]) -> Mapping[str, V]:
        """Return the states (...) by name, in task units, of the coordinates (...) by name.

        Raises:
            BadInput: The class lacks `decode`, or it fails or does not return tensors by name.
        """
        return self._transformed("decode", coordinates)

    def _transformed(self, method: str, values: Mapping[str, V]) -> Mapping[str, V]:
        where = f"learn.coordinates: {self.type}"
        function = getattr(self.call(), method, None)
        if function is None:
            raise BadInput(where, f"has no method {method!r}", expected="encode and decode")
        results = self.run(function, dict(values))
        return cast(
            "Mapping[str, V]", _by_name(results, where, f"{method} returns", "tensors by name")
        )


def _by_name(result: object, where: str, what: str, expected: str) -> Mapping[object, object]:
    """Return the result of custom code as tensors by name.

    Raises:
        BadInput: It is no mapping, or empty.
    """
    if not isinstance(result, Mapping) or not result:
        raise BadInput(where, f"{what} {type(result).__name__}", expected=expected)
    return result


def _shape_of(value: object) -> tuple[int, ...] | str:
    return tuple(getattr(value, "shape", ())) or type(value).__name__


def feature_names(transform: Transform, channels: list[str]) -> tuple[str, ...]:
    """Return the names of the features that a transform computes, from a row of ones.

    Raises:
        BadInput: The function fails.
    """
    import torch

    return tuple(transform.encode({name: torch.ones(1) for name in channels}))


def coordinate_names(coordinates: Coordinates, states: list[str]) -> tuple[str, ...]:
    """Return the names of coordinates, from a row of ones.

    Raises:
        BadInput: The code fails, or `decode` does not return every state.
    """
    import torch

    encoded = coordinates.encode({name: torch.ones(1) for name in states})
    decoded = coordinates.decode(encoded)
    if set(decoded) != set(states):
        raise BadInput(
            f"learn.coordinates: {coordinates.type}",
            f"decode returns {', '.join(decoded)}",
            expected=f"the states {', '.join(states)}",
        )
    return tuple(encoded)
