"""Benchmarks run one round of little work, so that a change of the library breaks none of them."""

import pytest

from benchmarks import (
    defects,
    drafts,
    formats,
    ingest,
    mpc,
    readers,
    rollout,
    startup,
    table,
    train,
)
from benchmarks.__main__ import NAMES, run_all


def test_each_benchmark_of_make_bench_runs_in_a_test():
    elsewhere = {"mutations", "orchestration"}  # tests/verify/test_mutations.py; two minutes
    modules = (defects, drafts, formats, ingest, mpc, readers, rollout, startup, train)
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


@pytest.mark.ci
def test_ingest_benchmark_of_short_logs_compares_with_polars(monkeypatch):
    for name, value in {"ROWS": 1500, "LARGE": 1, "SMALL": 2, "FILES": (1, 2)}.items():
        monkeypatch.setattr(ingest, name, value)
    large, small, memory = ingest.measure(rounds=1)
    assert set(large["ratios"]) == {"polars.read_csv", "sha256"}
    assert set(small["ratios"]) == {"polars.read_csv"}
    assert set(memory["references"]) == {"1 of them"}


@pytest.mark.ci
@pytest.mark.parametrize(("benchmark", "rows"), [(mpc, 2), (rollout, 4), (startup, 1)])
def test_speed_benchmark_of_a_round_compares_with_references(benchmark, rows):
    measured = benchmark.measure(rounds=1)
    assert len(measured) == rows
    assert all(row["ratios"] for row in measured)


def test_defects_benchmark_has_a_row_for_each_kind(monkeypatch):
    monkeypatch.setattr(defects, "real_episodes", list)
    text = defects.measure(logs=2, each=1)
    assert text.count("\n") == 2 + len(defects.KINDS) + 2


@pytest.mark.ci
@pytest.mark.skipif(not formats.DATA.is_dir(), reason="real logs are not next to the checkout")
def test_benchmarks_of_real_logs_have_a_row_for_each_set(monkeypatch):
    monkeypatch.setattr(formats, "SETS", formats.SETS[:1])
    monkeypatch.setattr(drafts, "ROBOTS", drafts.ROBOTS[4:5])
    assert "| csv | `simple_pendulum` | 6 |" in formats.measure()
    assert "`pendubot_400hz (*.csv)` | 3 | 2 | 0 | 0 |" in drafts.measure(each=1)
