"""Custom features: a function of all channels in a file of the project.

def transform(channels: dict[str, Tensor]) -> dict[str, Tensor]: ...  # (...) each
"""

from collections.abc import Mapping
from typing import ClassVar, cast

from kinemill.errors import BadInput
from kinemill.task.own_code import OwnCode
from kinemill.task.plugins import Transform, V


class OwnTransform(OwnCode, Transform):
    """Settings of custom features."""

    arguments: ClassVar[tuple[str, ...]] = ("channels",)
    protocol: ClassVar[type[Transform]] = Transform

    def encode(self, channels: Mapping[str, V]) -> Mapping[str, V]:
        """Return the features that the function computes, tensors (...) by name.

        Raises:
            BadInput: The function fails, or its result is not tensors by name.
        """
        features = self.call(dict(channels))
        shape = getattr(next(iter(channels.values())), "shape", ())
        where = f"learn.features: {self.type}"
        expected = f"tensors {tuple(shape)} by name"
        if not isinstance(features, Mapping) or not features:
            raise BadInput(where, f"returns {type(features).__name__}", expected=expected)
        for name, value in features.items():
            if getattr(value, "shape", None) != shape:
                got = tuple(getattr(value, "shape", ())) or type(value).__name__
                problem = f"feature {name!r} is {got}"
                raise BadInput(where, problem, expected=expected, fix="work row by row")
        return cast("Mapping[str, V]", features)


def feature_names(transform: Transform, channels: list[str]) -> tuple[str, ...]:
    """Return the names of the features that a transform computes, from a row of ones.

    Raises:
        BadInput: The function fails.
    """
    import torch

    return tuple(transform.encode({name: torch.ones(1) for name in channels}))
