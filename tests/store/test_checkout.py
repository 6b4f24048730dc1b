"""The checkout that this package is in: its tasks and its commit are found without variables."""

import subprocess
from pathlib import Path

from kinemill.store import home, provenance

ROOT = Path(__file__).resolve().parents[2]


def test_the_project_is_the_checkout_around_the_package(monkeypatch):
    monkeypatch.delenv("KINEMILL_PROJECT", raising=False)
    assert home.project_root() == ROOT


def test_the_commit_is_that_of_the_checkout():
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert (provenance.git_commit() or "").removesuffix(provenance.CHANGED) == head
