"""Formats of stored documents: each has a number, and the previous format is still read.

A kind of document has one `Format`. Written documents contain `"format": N`. A document of format
N - 1 is upgraded in memory when it is read: stored files never change. Documents without a number
have format 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.errors import CorruptArtifact

Json = dict[str, Any]


def _as_it_is(document: Json) -> Json:
    return document


@dataclass(frozen=True)
class Format:
    """The format of one kind of document.

    Attributes:
        kind: its name in messages: `dataset description`.
        number: the current format number, from 1.
        upgrade: converts a document of format `number - 1` to this format.
    """

    kind: str
    number: int
    upgrade: Callable[[Json], Json] = _as_it_is

    def stamp(self, document: Mapping[str, object]) -> Json:
        """Return a document with its format as the first key."""
        return {"format": self.number, **document}

    def open(self, path: Path, document: object) -> Json:
        """Return a document of this or the previous format, upgraded and without its number.

        Raises:
            CorruptArtifact: It is not an object, or its format is newer or too old.
        """
        if not isinstance(document, dict):
            problem = f"holds a {type(document).__name__}; expected an object, a {self.kind}"
            fix = "restore it from a backup: kinemill admin restore FOLDER"
            raise CorruptArtifact(path, problem, fix=fix)
        content: Json = dict(document)  # pyright: ignore[reportUnknownArgumentType]
        number = content.pop("format", 1)
        if number == self.number:
            return content
        if number == self.number - 1:
            return self.upgrade(content)
        readable = str(self.number)
        if self.number > 1:
            readable = f"{self.number - 1} or {readable}"
        newer = isinstance(number, int) and number > self.number
        raise CorruptArtifact(
            path,
            f"is a {self.kind} with format {number!r}",
            expected=f"format {readable}",
            fix="update kinemill: a newer version wrote it"
            if newer
            else "make it again, such as a dataset with kinemill run TASK, or read it with the "
            "older version that wrote it",
        )
