"""Benchmarks run one round of little work, so that a change of the library breaks none of them."""

import pytest

from benchmarks import ingest, readers, rollout, table, train
from benchmarks.__main__ import NAMES, run_all


def test_each_benchmark_of_make_bench_runs_in_a_test():
    elsewhere = {"mutations"}  # tests/verify/test_mutations.py
    modules = (ingest, readers, rollout, train)
    assert {module.__name__.rpartition(".")[2] for module in modules} | elsewhere == set(NAMES)


def test_failed_benchmark_is_named_and_the_next_runs():
    assert run_all(["missing", "_measured_code"]) == ["missing"]


@pytest.mark.ci
def test_readers_benchmark_of_short_logs_compares_each_format():
    rows = readers.measure(rows=600, messages=600, rounds=1)
    assert [row["work"].partition(" ")[0] for row in rows] == list(readers.FORMATS)
    assert "rosbags" in table(rows)


@pytest.mark.parametrize("model", [train.MLP, train.GRU])
def test_train_benchmark_of_one_step_compares_with_plain_torch(model, monkeypatch):
    monkeypatch.setattr(train, "has_compiler", lambda: False)
    (row,) = train.measure([(model, 3, 2, 8, 1)], rounds=1)
    assert row["ours"] > 0.0
    assert set(row["ratios"]) == {"plain torch loop"}


@pytest.mark.slow
def test_ingest_benchmark_of_short_logs_compares_with_polars(monkeypatch):
    for name, value in {"ROWS": 1500, "LARGE": 1, "SMALL": 2, "FILES": (1, 2)}.items():
        monkeypatch.setattr(ingest, name, value)
    large, small, memory = ingest.measure(rounds=1)
    assert set(large["ratios"]) == {"polars.read_csv", "sha256"}
    assert set(small["ratios"]) == {"polars.read_csv"}
    assert set(memory["references"]) == {"1 of them"}


@pytest.mark.slow
def test_rollout_benchmark_of_a_round_compares_with_references():
    measured = rollout.measure(rounds=1)
    assert len(measured) == 4
    assert all(row["ratios"] for row in measured)
