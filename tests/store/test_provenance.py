"""The commit of the checkout that this package is in is found without variables."""

import subprocess

from kinemill.store import provenance
from tests.conftest import ROOT


def test_the_commit_is_that_of_the_checkout():
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert (provenance.git_commit() or "").removesuffix(provenance.CHANGED) == head
