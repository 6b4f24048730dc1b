"""Where everything kinemill makes is kept: one folder, addressed relatively, free to move."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store.database import database

FORMAT = 1  # of a home as a whole: what is where; each document has a format of its own
STAMP = "home.json"
RESTORE_MARKER = ".restoring"  # is there while a restored home is not whole


def project_root() -> Path | None:
    """Find the Dagster project: `KINEMILL_PROJECT`, or the checkout this package sits in."""
    named = os.environ.get("KINEMILL_PROJECT")
    root = Path(named) if named else Path(__file__).resolve().parents[2]
    return root.resolve() if (root / "pipelines" / "definitions.py").is_file() else None


@dataclass(frozen=True)
class Home:
    """The folder `KINEMILL_HOME`: drop folders, store, runs, MLflow and Dagster storage."""

    root: Path

    @classmethod
    def resolve(cls, root: Path | str | None = None) -> "Home":
        """Take `root`, else `KINEMILL_HOME`, else `var/` in the checkout.

        Raises:
            BadInput: none of the three is known, or the home is no folder, is half restored, or was
                written by a newer kinemill.
        """
        home = cls.find(root)
        home.check()
        home.close()
        return home

    @classmethod
    def find(cls, root: Path | str | None = None) -> "Home":
        """Do the same without a look at what is in it.

        Raises:
            BadInput: none of the three is known.
        """
        named = root or os.environ.get("KINEMILL_HOME")
        if named:
            return cls(Path(named).expanduser().resolve())
        project = project_root()
        if project is None:
            raise BadInput(
                "KINEMILL_HOME",
                "not set, and there is no checkout to keep var/ in",
                fix="set KINEMILL_HOME to a folder of yours",
            )
        return cls(project / "var")

    def check(self) -> None:
        """Pass if this kinemill can use the home.

        Raises:
            BadInput: it is a file or lies in one, is half restored, or was written by a newer
                kinemill.
        """
        there = next(one for one in (self.root, *self.root.parents) if one.exists())
        if not there.is_dir():
            fix = "set KINEMILL_HOME to a folder of yours"
            raise BadInput(there, "is no folder", expected="a folder for KINEMILL_HOME", fix=fix)
        if (self.root / RESTORE_MARKER).exists():
            fix = "kinemill restore the backup once more: it ends what was begun"
            raise BadInput(self.root, "is half restored", fix=fix)
        if (found := self.format) > FORMAT:
            raise BadInput(
                self.root,
                f"was written by a newer kinemill: it is a home of format {found}",
                expected=f"format {FORMAT} at most",
                fix="update kinemill, or restore a backup from before: kinemill restore",
            )

    def inside(self, path: str, named: object) -> Path:
        """Return a place in this home by its relative path.

        Args:
            path: as a document or a registry says it, forward slashes.
            named: who says so, for an error's sake.

        Raises:
            CorruptArtifact: it leads out of the home.
        """
        whole = self.root.absolute()  # links inside are the owner's own, and not followed
        root, place = (Path(os.path.normpath(one)) for one in (whole, whole / path))
        if not place.is_relative_to(root):
            fix = "somebody wrote to the registry; kinemill rollback leads to a version of before"
            raise CorruptArtifact(named, f"names {path!r}, outside of the home", fix=fix)
        return place

    def close(self) -> None:
        """Close the home to all but its owner: logs and models are nobody else's business.

        One whose folder has the setgid bit (`chmod 2770`) is meant for a group, and closed to all
        others. One that somebody else owns is left as it is.
        """
        try:
            found = self.root.stat()
        except FileNotFoundError:
            return
        shut = 0o007 if found.st_mode & stat.S_ISGID else 0o077
        if found.st_mode & shut and found.st_uid == os.geteuid():
            self.root.chmod(stat.S_IMODE(found.st_mode) & ~shut)

    def make(self) -> None:
        """Make the folder, for its owner alone, unless it is there."""
        if not self.root.is_dir():
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)

    @property
    def format(self) -> int:
        """The format of the home, noted when it was last upgraded; 1 before that."""
        try:
            found = json.loads((self.root / STAMP).read_bytes())["format"]
        except FileNotFoundError:
            return 1
        except (ValueError, KeyError, TypeError) as error:
            fix = 'it says `{"format": N}`; move it away, and kinemill upgrade writes it again'
            raise BadInput(self.root / STAMP, f"cannot be read ({error})", fix=fix) from error
        return int(found)

    def task_file(self, task: str) -> Path:
        """Return the note that names the file a task was run from."""
        return self.root / "task_files" / f"{task}.json"

    def logs(self, task: str) -> Path:
        """Folder in which logs of `task` are dropped."""
        return self.root / "logs" / task

    @property
    def store(self) -> Path:
        """Folder of the published outcomes of every stage and of the raw bytes."""
        return self.root / "store"

    @property
    def ledgers(self) -> Path:
        """Folder of the registry's ledgers: every version and decision, by task."""
        return self.store / "registry"

    @property
    def runs(self) -> Path:
        """Folder of trainings under way: checkpoints and metrics that a rerun continues from."""
        return self.root / "runs"

    @property
    def mlflow_db(self) -> Path:
        """MLflow's SQLite file."""
        return self.root / "mlflow.db"

    @property
    def has_registry(self) -> bool:
        """Whether there is an MLflow database: a shared one, or this home's own file."""
        return database() is not None or self.mlflow_db.is_file()

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.root / "artifacts"

    @property
    def dagster(self) -> Path:
        """Folder of Dagster's own storage and of the references between assets."""
        return self.root / "dagster"
