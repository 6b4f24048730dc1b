"""Summaries of artifacts as dataclasses."""

from pathlib import Path
from typing import Self

from kinemill.store.artifacts import SUMMARY, Artifact, ArtifactRef, Staged, summary_of
from kinemill.store.documents import from_json_value, read_document
from kinemill.store.home import Home


class StoredSummary:
    """Base class of the dataclasses whose fields a stage stores as the summary of its artifact."""

    @classmethod
    def of(cls, artifact: Artifact | Staged) -> Self:
        """Return the summary of an artifact.

        Raises:
            CorruptArtifact: A field is missing or has another type.
        """
        return from_json_value(artifact.summary, cls, Path(artifact.ref.path))

    @classmethod
    def read(cls, home: Home, ref: ArtifactRef) -> Self:
        """Read the summary of a published artifact; no other file of it is verified.

        Raises:
            CorruptArtifact: The artifact is missing or has changed, or a field is wrong.
        """
        return from_json_value(summary_of(home, ref), cls, home.root / ref.path)

    @classmethod
    def read_folder(cls, folder: Path) -> Self:
        """Read the summary in the folder of a verified artifact.

        Raises:
            CorruptArtifact: A field is missing or has another type.
        """
        return read_document(folder / SUMMARY, cls)
