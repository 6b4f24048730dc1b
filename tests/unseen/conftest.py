"""The whole chain on a synthetic system, in this process, in a home of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kinemill.register import find_version, tags
from kinemill.register.run_summary import RunDocument
from kinemill.runtime import load
from kinemill.store.home import Home
from kinemill.verify.document import Verification, read_verification
from tests.pipelines.conftest import run_stages_here
from tests.unseen.systems import Array, System, write_csv, write_task

Runs = Mapping[str, Sequence[Array]]  # episodes by split


@dataclass(frozen=True, repr=False)
class Verdict:
    """Result of a pipeline run.

    Attributes:
        home: where it ran.
        document: of the run.
    """

    home: Home
    document: RunDocument

    def __repr__(self) -> str:
        """Message of a failed assertion: the selection and the failed rules."""
        lines = [line for line in self.document.gate if not line.passed]
        return f"{self.document.selection}, {self.document.metrics}, {lines}"

    @property
    def refused(self) -> set[str]:
        """Rules of the gate that did not pass."""
        return {line.rule for line in self.document.gate if not line.passed}

    @property
    def choice(self) -> str:
        """`trained`, or the name of the reference that the run ended with."""
        return self.document.selection.selected

    @property
    def provisional(self) -> str:
        """Rules with insufficient test data; empty if there are none."""
        return self.document.provisional

    @property
    def is_champion(self) -> bool:
        """Whether the version of this run answers for the task."""
        return self.document.alias == "champion"

    @property
    def history(self) -> int:
        """Rows that the exported model wants to know."""
        return load(self._bundle).history

    def nrmse(self, name: str) -> float:
        """Return the error at the horizon on the test split, of `model` or of a reference."""
        return self._verification.accuracy[name].nrmse

    def free_run(self, name: str) -> float:
        """Return the error over whole test episodes."""
        return self._verification.analysis.free_run[name].nrmse

    @property
    def _verification(self) -> Verification:
        return read_verification(self._bundle)

    @property
    def _bundle(self) -> Path:
        version = find_version(self.home, self.document.task, f":{self.document.version}")
        return self.home.root / version.tags[tags.BUNDLE]


@pytest.fixture
def verdict_on(tmp_path, monkeypatch) -> Callable[..., Verdict]:
    """Run the chain: (system, episodes by split, settings of the task file) -> Verdict."""

    def run(system: System, runs: Runs, settings: Mapping[str, Any]) -> Verdict:
        from kinemill_dagster.pipelines.run import run_chain

        home, tasks = Home(tmp_path / "home"), tmp_path / "tasks"
        for split, episodes in runs.items():
            for index, values in enumerate(episodes):
                write_csv(home.logs(system.name) / f"{split}-{index:02d}.csv", system, values)
        shares = {"validation": ["*validation-*"], "test": ["*test-*"]}
        write_task(
            tasks / f"{system.name}.yaml",
            system,
            {"dataset": shares, "retrain": {"cron": None}, **settings},
        )
        monkeypatch.setenv("KINEMILL_HOME", str(home.root))
        monkeypatch.setenv("KINEMILL_TASKS", str(tasks))
        monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
        run_stages_here(monkeypatch)
        return Verdict(home, run_chain(system.name))

    return run
