"""Two robots of one kind: a champion of A.0 meets unseen runs of its own robot and all of C.0."""

import shutil
from pathlib import Path

import pytest

from kinemill.ingest import stage as ingest
from kinemill.register.champion import load_champion
from kinemill.store import file_digest
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.drift import find_drift
from tests.conftest import EXAMPLES


def nameless(logs: list[Path], folder: Path) -> dict[str, Path]:
    """Copy logs under names that say nothing; return them by content hash."""
    folder.mkdir()
    by_hash = {file_digest(path): path for path in logs}
    for hash_, path in by_hash.items():
        shutil.copy(path, folder / f"{hash_[:8]}.csv")
    return by_hash


@pytest.mark.slow
def test_all_runs_of_the_other_robot_drift_and_unseen_ones_of_its_own_do_not(
    shared_data, home, tmp_path
):
    from kinemill_dagster.pipelines.run import run_chain

    logs = sorted((shared_data / "double_pendulum_sysid").glob("*.csv"))
    logs = [path for path in logs if "noise" not in path.name]
    own = nameless(logs, tmp_path / "own")
    other = nameless(sorted((shared_data / "double_pendulum_c0").glob("*.csv")), tmp_path / "other")
    # The shipped task, its split by names said of names that say nothing.
    unused = {hash_ for hash_, path in own.items() if "7col" in path.name}
    test = {hash_ for hash_, path in own.items() if "traj03" in path.name}
    overrides = {
        f"dataset.{side}": [f"{hash_[:8]}*" for hash_ in sorted(hashes)]
        for side, hashes in (("unused", unused), ("test", test))
    }
    path = EXAMPLES / "double_pendulum.yaml"
    assert run_chain(str(path), overrides, logs=tmp_path / "own").alias == "champion"

    task = load_task(path, overrides)
    episodes = validate.run(task, home, ingest.run(task, home, tmp_path / "other").artifact.ref).ref
    report = find_drift(task, home, episodes, lambda: load_champion(home, task.name))
    drifting = {one.recording for one in report.drifting}
    assert len(other) == 4
    assert set(other) <= drifting
    # New recordings of its own robot are evaluated; those of its test split define the usual error.
    evaluated = {episode.recording for episode in report.episodes}
    assert evaluated - set(other) == unused
    assert len(unused - drifting) >= 3
