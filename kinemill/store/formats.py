"""Formats of stored documents: each says its number, and the one before it is still read.

A kind of document has one `Format`. What is written carries `"format": N`; a document of N - 1 is
brought up by one hop when it is read, in memory: stored files never change. Documents from before
there were numbers are of format 1.
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
        kind: what people call it: `dataset description`.
        number: that is written, from 1.
        upgrade: makes what format `number - 1` had into what this one has.
    """

    kind: str
    number: int
    upgrade: Callable[[Json], Json] = _as_it_is

    def stamp(self, document: Mapping[str, Any]) -> Json:
        """Return a document with its format as the first key."""
        return {"format": self.number, **document}

    def open(self, path: Path, document: Any) -> Json:
        """Return what a document of this format or the one before says, without its number.

        Args:
            path: where it was read, for the message.
            document: the parsed JSON.

        Raises:
            CorruptArtifact: it is no object, of a newer format, or of one that is too old.
        """
        if not isinstance(document, dict):
            found = f"holds a {type(document).__name__}; expected an object, a {self.kind}"
            fix = "restore it from a backup: kinemill restore FOLDER"
            raise CorruptArtifact(path, found, fix=fix)
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
            f"is a {self.kind} of format {number!r}",
            expected=f"format {readable}",
            fix="update kinemill, which wrote it"
            if newer
            else "run it once through the kinemill version in between",
        )
