"""A file system that fills up while a run trains, and before commands that only read."""

import subprocess

import pytest

from kinemill.store import read_json
from kinemill.store.home import Home
from tests.pipelines.conftest import TASK, Workspace, copy_home
from tests.pipelines.test_training import start_run, training_of
from tests.small_disk import fill, mount

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def small(first_run, tmp_path, monkeypatch):
    """A copy of the home on which the chain ran, on a file system of 64 MB."""
    original, _ = first_run
    site = tmp_path / "small"
    site.mkdir()
    mount(site, "size=64m")
    copy_home(original.home, site / "home")
    copied = Workspace(Home(site / "home"), original.tasks)
    copied.enter(monkeypatch)
    yield copied
    subprocess.run(["umount", str(site)], check=True)


def test_full_disk_in_training_is_one_line_and_the_next_run_resumes(small):
    run = start_run(**{"learn.steps": 1_000_000, "learn.seed": 9})
    training_of(run, small.home)
    filler = small.home.root / "filler"
    fill(filler)
    _, message = run.communicate(timeout=300)
    assert run.returncode == 4, message
    assert "Traceback" not in message
    *progress, last = message.splitlines()
    folder = small.home.root.parent
    assert f"no space left on the file system {folder}, " in last
    assert not [line for line in progress if "no space left" in line or "rror" in line]
    versions = [read_json(path) for path in (small.home.store / "bundle").rglob("MANIFEST.json")]
    assert len(versions) == 1  # what was there, whole
    filler.unlink()
    again = start_run(**{"learn.steps": 200, "learn.seed": 9})
    out, message = again.communicate(timeout=400)
    assert again.returncode in {0, 1}, message  # the gate may refuse what hardly learned
    assert f'"task": "{TASK}"' in out
