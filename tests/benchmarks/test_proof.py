"""The runner of proofs: tables, kept results, options."""

from benchmarks import _proof


def test_table_fills_short_rows_with_empty_cells():
    text = _proof.table(["task", "seeds", "s"], [["cart", 3, "1.5"], ["arm", "not run"]])
    assert text == "| task | seeds | s |\n|---|---|---|\n| cart | 3 | 1.5 |\n| arm | not run |  |\n"


def test_finished_result_is_not_measured_again(tmp_path):
    path = tmp_path / "home" / "1.json"
    measured = iter([{"return": 1.0}])
    results = [_proof.cached(path, lambda: next(measured)) for _ in range(2)]
    assert results == [{"return": 1.0}] * 2


def test_settings_are_options_in_json():
    settings = {"learn.model": {"type": "mlp"}, "learn.critic": None}
    expected = ["--set", 'learn.model={"type": "mlp"}', "--set", "learn.critic=null"]
    assert _proof.overridden(settings) == expected


def test_rows_and_seeds_are_options():
    options = _proof.parser("", ["a", "b"], 3).parse_args(["--row", "b"])
    assert (options.row, options.seeds) == (["b"], 3)
