"""A few hundred varied requests through the real servers; `make prove-guard` sends 12,000."""

import random

import pytest

from benchmarks._guarded import guarded
from benchmarks.prove_guard import prove

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_no_variation_does_what_its_plain_form_may_not(tmp_path, monkeypatch):
    for name in ("KINEMILL_HOME", "KINEMILL_TASKS", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # restored afterwards
    with guarded(tmp_path) as place:
        found = prove(place, 300, random.Random(19))
    assert {role: one.violations for role, one in found.items()} == {role: [] for role in found}
    assert found["viewer"].plain == found["anonymous"].plain == []
    assert "launch mine" in found["limited"].plain
    assert "launch other" not in found["limited"].plain
    assert "launch other" in found["operator"].plain
    assert "launch gate" not in found["operator"].plain
    assert "registered-models/alias" in found["admin"].plain
    for closed in ("upload to champion", "artifact_location", "model-versions/create"):
        assert closed not in found["admin"].plain
    assert found["admin"].changes > 0  # the same requests do something for those who may
