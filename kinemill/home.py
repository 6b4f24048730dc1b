"""Where everything kinemill makes is kept: one folder, addressed relatively, free to move."""

import os
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput


def project_root() -> Path | None:
    """Find the Dagster project: `KINEMILL_PROJECT`, or the checkout this package sits in."""
    named = os.environ.get("KINEMILL_PROJECT")
    root = Path(named) if named else Path(__file__).resolve().parents[1]
    return root.resolve() if (root / "pipelines" / "definitions.py").is_file() else None


@dataclass(frozen=True)
class Home:
    """The folder `KINEMILL_HOME`: drop folders, store, runs, MLflow and Dagster storage."""

    root: Path

    @classmethod
    def resolve(cls, root: Path | str | None = None) -> "Home":
        """Take `root`, else `KINEMILL_HOME`, else `var/` in the checkout.

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

    def logs(self, task: str) -> Path:
        """Folder in which logs of `task` are dropped."""
        return self.root / "logs" / task

    @property
    def store(self) -> Path:
        """Folder of the published outcomes of every stage and of the raw bytes."""
        return self.root / "store"

    @property
    def runs(self) -> Path:
        """Folder of trainings under way: checkpoints and metrics that a rerun continues from."""
        return self.root / "runs"

    @property
    def mlflow_db(self) -> Path:
        """MLflow's SQLite file."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.root / "artifacts"

    @property
    def dagster(self) -> Path:
        """Folder of Dagster's own storage and of the references between assets."""
        return self.root / "dagster"
