"""A tagger of the user's own: a function in a file of the project.

def busy(episodes, dt, least: float = 0.5): ...  # [channel -> (n,)], s -> list of tags
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.task import OwnCode, Tagger


class OwnTagger(OwnCode, Tagger):
    """Settings of a tagger of the user's own."""

    arguments: ClassVar[tuple[str, ...]] = ("episodes", "dt")
    protocol: ClassVar[type[Tagger]] = Tagger

    def find_tags(
        self, episodes: Sequence[Mapping[str, NDArray[np.float64]]], dt: float
    ) -> Iterable[str]:
        """Return what the function returns for copies of the episodes.

        Raises:
            BadInput: It fails, or returns no list of texts.
        """
        copies = [{name: one.copy() for name, one in each.items()} for each in episodes]
        tags = self.call(copies, dt)
        if not isinstance(tags, list | tuple | set) or not all(
            isinstance(tag, str) for tag in tags
        ):
            raise BadInput(
                f"tag: {self.type}", f"returns {tags!r}"[:200], expected="a list of tags"
            )
        return list(tags)
