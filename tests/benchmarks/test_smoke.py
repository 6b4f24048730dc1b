"""Benchmarks run one round of little work, so that a change of the library breaks none of them."""

import pytest

from benchmarks import readers, table, train


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
