"""A registration as an artifact, as the other assets return."""

from pathlib import PurePosixPath

from kinemill.register.stage import Registration
from kinemill.store import MANIFEST, Artifact, ArtifactRef, file_digest
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring


def artifact_of(home: Home, registration: Registration) -> Artifact:
    """Return the published decision of a registration, which is constant for a version."""
    folder = PurePosixPath(registration.report).parent
    bring(home, home.root / folder)  # another machine may have registered it
    ref = ArtifactRef(folder.as_posix(), file_digest(home.root / folder / MANIFEST))
    return Artifact(ref, registration.summary, cached=registration.status == "unchanged")
