"""The part of a task's layout that architectures read, see `kinemill.train.layout.Layout`."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class OutputRelation(Protocol):
    """What one output of a network means for the state channel `of`."""

    @property
    def relation(self) -> str: ...
    @property
    def of(self) -> str: ...


class EncodingKind(Protocol):
    """Kind and number of features of the encoding of a channel."""

    parts: int

    @property
    def type(self) -> str: ...


class ModelLayout(Protocol):
    """Order of channels and outputs, see `kinemill.train.layout.Layout`."""

    @property
    def states(self) -> tuple[str, ...]: ...
    @property
    def actions(self) -> tuple[str, ...]: ...
    @property
    def angles(self) -> tuple[bool, ...]: ...
    @property
    def outputs(self) -> Sequence[tuple[str, OutputRelation]]: ...
    @property
    def history(self) -> int: ...
    @property
    def dt(self) -> float: ...
    @property
    def drift(self) -> NDArray[np.float64]: ...
    @property
    def integrator(self) -> str: ...
    @property
    def encodings(self) -> Sequence[EncodingKind]: ...
    @property
    def features(self) -> int: ...
    @property
    def transformed(self) -> Sequence[str]: ...
    @property
    def groups(self) -> Sequence[tuple[EncodingKind, list[int]]]: ...


def feature_columns(layout: ModelLayout) -> list[int]:
    """Return the column (states, then actions) of each feature, (F,)."""
    return [k for encoding, at in layout.groups for _ in range(encoding.parts) for k in at]
