"""The home: one relocatable folder for all files of kinemill."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store.database import database, tracking_server
from kinemill.store.project import project_root

RESTORE_MARKER = ".restoring"  # exists while a restore is incomplete


def is_inner_path(name: object) -> bool:
    """Return whether a text that another machine or a file names is a path below its folder."""
    return (
        isinstance(name, str)
        and "\0" not in name
        and not any(part in {"", ".", ".."} for part in name.split("/"))
    )


@dataclass(frozen=True)
class Home:
    """The folder `KINEMILL_HOME`: drop folders, store, runs, MLflow and Dagster storage."""

    root: Path

    @classmethod
    def resolve(cls, root: Path | str | None = None) -> "Home":
        """Take `root`, else `KINEMILL_HOME`, else `var/` of the project.

        Raises:
            BadInput: None of the three is set, or the home is not a folder, or is incompletely
                restored.
        """
        home = cls.find(root)
        home.check()
        home.close()
        return home

    @classmethod
    def find(cls, root: Path | str | None = None) -> "Home":
        """Do the same without checking its content.

        Raises:
            BadInput: None of the three is set.
        """
        named = root or os.environ.get("KINEMILL_HOME")
        if named:
            return cls(Path(named).expanduser().resolve())
        project = project_root()
        if project is None:
            raise BadInput(
                "KINEMILL_HOME",
                f"not set, and {Path.cwd()} is not in a kinemill project, whose var/ is the home",
                fix="kinemill init FOLDER creates a project; or set KINEMILL_HOME to a folder",
            )
        return cls(project / "var")

    def check(self) -> None:
        """Check that this version of kinemill can use the home.

        Raises:
            BadInput: It is not a folder, or is incompletely restored.
        """
        folder = next(parent for parent in (self.root, *self.root.parents) if parent.exists())
        if not folder.is_dir():
            fix = "set KINEMILL_HOME to a folder of yours"
            raise BadInput(
                folder, "is not a folder", expected="a folder for KINEMILL_HOME", fix=fix
            )
        if (self.root / RESTORE_MARKER).exists():
            fix = "run kinemill admin restore with the backup again, which completes the restore"
            raise BadInput(self.root, "is incompletely restored", fix=fix)

    def inside(self, path: str, named: object) -> Path:
        """Return a path in this home from its relative path.

        Raises:
            CorruptArtifact: The path leaves the home.
        """
        # Symbolic links inside belong to the owner and are not resolved.
        root = Path(os.path.normpath(self.root.absolute()))
        target = Path(os.path.normpath(root / path))
        if not target.is_relative_to(root):
            fix = "the registry was modified; kinemill model rollback restores an earlier version"
            raise CorruptArtifact(named, f"names {path!r}, outside of the home", fix=fix)
        return target

    def in_store(self, path: str, named: object) -> Path:
        """Return a path in the store from its path relative to the home; "" is the home.

        Only kinemill writes the store. MLflow's users can upload files to the other folders.

        Raises:
            CorruptArtifact: The path is not in the store.
        """
        target = self.inside(path, named)
        if path and not target.is_relative_to(os.path.normpath(self.store.absolute())):
            fix = "the registry was modified; kinemill model rollback restores an earlier version"
            raise CorruptArtifact(named, f"names {path!r}, outside of the store", fix=fix)
        return target

    def close(self) -> None:
        """Restrict the home to its owner: logs and models are private.

        A folder with the setgid bit (`chmod 2770`) is restricted to its group. A home of another
        owner is not changed.
        """
        try:
            status = self.root.stat()
        except FileNotFoundError:
            return
        shut = 0o007 if status.st_mode & stat.S_ISGID else 0o077
        if status.st_mode & shut and status.st_uid == os.geteuid():
            self.root.chmod(stat.S_IMODE(status.st_mode) & ~shut)

    def make(self) -> None:
        """Create the folder with owner-only permissions unless it exists.

        Raises:
            BadInput: No folder can be created there, as below `/proc`.
        """
        if self.root.is_dir():
            return
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError as error:
            fix = "set KINEMILL_HOME to another folder"
            raise BadInput(self.root, "cannot be created", fix=fix) from error

    def task_file(self, task: str) -> Path:
        """Return the file that records the path a task was run from."""
        return self.root / "task_files" / f"{task}.json"

    def logs(self, task: str) -> Path:
        """Folder in which logs of `task` are dropped."""
        return self.root / "logs" / task

    @property
    def drafts(self) -> Path:
        """Folder of the drafts of new tasks, which are deleted after a day."""
        return self.root / "drafts"

    @property
    def store(self) -> Path:
        """Folder of the published artifacts of all stages and of the raw logs."""
        return self.root / "store"

    @property
    def audit_logs(self) -> Path:
        """Folder of the audit logs of the registry and of the tasks of versions, by task."""
        return self.store / "registry"

    @property
    def runs(self) -> Path:
        """Folder of running trainings: checkpoints and metrics from which a rerun resumes."""
        return self.root / "runs"

    @property
    def mlflow_db(self) -> Path:
        """MLflow's SQLite file."""
        return self.root / "mlflow.db"

    @property
    def catalog_db(self) -> Path:
        """SQLite file of the catalog of recordings."""
        return self.root / "catalog.db"

    @property
    def has_registry(self) -> bool:
        """Whether MLflow's registry exists: a server, a shared database, or the home's file."""
        return bool(tracking_server() or database()) or self.mlflow_db.is_file()

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.root / "artifacts"

    @property
    def dagster(self) -> Path:
        """Folder of Dagster's own storage and of the references between assets."""
        return self.root / "dagster"
