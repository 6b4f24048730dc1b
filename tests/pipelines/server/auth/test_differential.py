"""A few hundred varied requests through the real servers; `make prove-guard` sends 12,000."""

import random

import pytest

from benchmarks._guarded import guarded
from benchmarks.prove_guard import prove

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_varied_request_changes_nothing_that_its_plain_form_may_not(tmp_path, monkeypatch):
    for name in ("KINEMILL_HOME", "KINEMILL_TASKS", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # restored afterwards
    with guarded(tmp_path) as site:
        result = prove(site, 300, random.Random(19))
    assert {role: one.violations for role, one in result.items()} == {role: [] for role in result}
    assert result["viewer"].plain == result["anonymous"].plain == []
    assert "launch mine" in result["limited"].plain
    assert "launch other" not in result["limited"].plain
    assert "launch other" in result["operator"].plain
    assert "launch gate" not in result["operator"].plain
    assert "registered-models/alias" in result["admin"].plain
    assert "model-versions/create" in result["operator"].plain
    for role in ("operator", "limited"):
        assert not {"registered-models/alias", "model-versions/set-tag"} & {*result[role].plain}
    for closed in ("artifact_location", "upload anywhere", "erase", "upload form", "trace"):
        assert closed not in result["admin"].plain
    assert result["admin"].changes > 0  # the same requests do something for those who may
