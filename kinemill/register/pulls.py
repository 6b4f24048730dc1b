"""Source of `pull` in the registry of a home, without a server."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import Unreachable
from kinemill.register.versions import bundle_folder, find_version
from kinemill.runtime.integrity import SUMS, read_sums
from kinemill.runtime.registry_client import VersionRef
from kinemill.store.home import Home


@dataclass(frozen=True)
class OfHome:
    """Source in the registry of a home or of a shared database.

    `which` is `@alias` or `:number`.
    """

    home: Home
    task: str
    which: str

    def resolve(self) -> VersionRef:
        """Look up the version in MLflow."""
        if not self.home.has_registry:
            fix = f"mount the home; if it is new: kinemill run {self.task}"
            raise Unreachable(
                self.home.mlflow_db, "is missing: no registry, or not mounted", fix=fix
            )
        version = find_version(self.home, self.task, self.which)
        return VersionRef(version.number, version.sums, version.provisional)

    def copy(self, ref: VersionRef, folder: Path) -> None:
        """Copy the bundle, from the store or from MLflow's copy."""
        version = find_version(self.home, self.task, f":{ref.version}")
        source = bundle_folder(self.home, version)
        for name in (SUMS, *read_sums(source)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)
