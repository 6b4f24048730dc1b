"""Registrations as artifacts, and their versions."""

from pathlib import PurePosixPath

from kinemill.errors import BadInput
from kinemill.register import tags
from kinemill.register.stage import Registration
from kinemill.register.versions import Version, versions_of
from kinemill.store import MANIFEST, Artifact, ArtifactRef, file_digest, to_json_value
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring


def artifact_of(home: Home, registration: Registration) -> Artifact:
    """Return the artifact of a registration's decision, constant for a version."""
    folder = PurePosixPath(registration.report).parent
    bring(home, home.root / folder)  # another machine can have registered it
    ref = ArtifactRef(folder.as_posix(), file_digest(home.root / folder / MANIFEST))
    return Artifact(ref, to_json_value(registration), cached=registration.status == "unchanged")


def version_of(home: Home, task: str, registered: ArtifactRef) -> Version:
    """Return the version of a published decision.

    Raises:
        BadInput: The version was deleted.
    """
    for version in versions_of(home, task):
        if PurePosixPath(version.tags.get(tags.REPORT, "")).parent.as_posix() == registered.path:
            return version
    fix = f"kinemill run {task} registers it again"
    raise BadInput(registered.path, "is the decision about a deleted version", fix=fix)
