"""Custom coordinates: a class in a file of the project.

class Polar:
def __init__(self, radius: float = 1.0): ...
def encode(self, states: dict[str, Tensor]) -> dict[str, Tensor]: ...  # (...) each
def decode(self, coordinates: dict[str, Tensor]) -> dict[str, Tensor]: ...
"""

from collections.abc import Mapping
from typing import ClassVar, cast

from kinemill.errors import BadInput
from kinemill.task.own_code import OwnCode
from kinemill.task.plugins import Coordinates, V


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
        made = self.call()
        function = getattr(made, method, None)
        if function is None:
            raise BadInput(where, f"has no method {method!r}", expected="encode and decode")
        results = self.run(function, dict(values))
        if not isinstance(results, Mapping) or not results:
            problem = f"{method} returns {type(results).__name__}"
            raise BadInput(where, problem, expected="tensors by name")
        return cast("Mapping[str, V]", results)


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
