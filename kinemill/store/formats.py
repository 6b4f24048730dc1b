"""Formats of stored documents: each has a number, and no other format is read.

A kind of document has one `Format`. Written documents contain `"format": N`. Documents without a
number have format 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.store.json_io import Json


@dataclass(frozen=True)
class Format:
    """The format of one kind of document.

    Attributes:
        kind: its name in messages: `dataset description`.
        number: the current format number, from 1.
    """

    kind: str
    number: int

    def stamp(self, document: Mapping[str, object]) -> Json:
        """Return a document with its format as the first key."""
        return {"format": self.number, **document}

    def open(self, path: Path, document: object) -> Json:
        """Return a document of this format without its number.

        Raises:
            CorruptArtifact: It is not an object, or has another format.
        """
        if not isinstance(document, dict):
            problem = f"holds a {type(document).__name__}; expected an object, a {self.kind}"
            fix = "restore it from a backup: kinemill admin restore FOLDER"
            raise CorruptArtifact(path, problem, fix=fix)
        content: Json = dict(document)  # pyright: ignore[reportUnknownArgumentType]
        number = content.pop("format", 1)
        if number == self.number:
            return content
        newer = isinstance(number, int) and number > self.number
        raise CorruptArtifact(
            path,
            f"is a {self.kind} with format {number!r}",
            expected=f"format {self.number}",
            fix="update kinemill: a newer version wrote it"
            if newer
            else "make it again, such as a dataset with kinemill run TASK, or read it with the "
            "older version that wrote it",
        )
