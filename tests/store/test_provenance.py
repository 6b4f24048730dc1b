"""The commit of the checkout that this package is in is found without variables."""

import subprocess
from importlib.metadata import version

from kinemill.store import provenance
from tests.conftest import ROOT


def test_the_commit_is_that_of_the_checkout_and_without_git_the_version(monkeypatch, tmp_path):
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert (provenance.git_commit() or "").removesuffix(provenance.CHANGED) == head
    monkeypatch.setenv("PATH", str(tmp_path))
    provenance.git_commit.cache_clear()
    assert provenance.code() == f"kinemill {version('kinemill')}"
    provenance.git_commit.cache_clear()
