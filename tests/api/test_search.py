"""The result of a search, as a notebook shows it."""

import kinemill.api as km
from kinemill.selection.tune import describe, list_trials
from tests.selection.tune.conftest import packed, searched

__all__ = ["packed", "searched"]  # fixtures


def test_the_result_of_a_search_has_a_table_a_picture_and_the_best_settings(searched):
    trials = list_trials(searched)
    result = km.TuneResult(searched.task(), describe(searched, trials))
    errors = result.to_polars()["error"].to_list()
    assert len(errors) == 4
    assert result.best == min(error for error in errors if error is not None)
    (axis,) = result.plot().axes
    assert axis.get_ylabel() == "error"
    assert list(axis.lines[1].get_ydata())[-1] == result.best
    assert "best, error" in result._repr_html_()
    assert result.task_error == errors[0]
    assert result.folder == searched.folder
