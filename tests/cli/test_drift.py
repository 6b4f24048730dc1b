"""`kinemill data drift`: said without a champion, and with one in the home's registry."""

import pytest

from kinemill.errors import BadInput
from tests.cli.conftest import bytes_under


def test_without_a_champion_it_says_so_and_succeeds(swing, log, kinemill, evaluated):
    evaluated(swing(), log("a.csv").parent)
    result = kinemill("data", "drift", "swing", "--json")
    assert (result["task"], result["status"]) == ("swing", "no champion")
    assert result["episodes"] == []
    assert kinemill("data", "drift", "swing") == (
        "swing: nothing was evaluated, no champion: no version of swing is champion\n"
    )


def test_logs_that_are_only_tried_leave_nothing_in_the_home(swing, log, kinemill, evaluated, home):
    evaluated(swing(), log("a.csv").parent)
    other = home.root.parent / "other"
    other.mkdir()
    log("c.csv", phase=0.4).rename(other / "c.csv")
    previous = bytes_under(home.root)
    assert kinemill("data", "drift", "swing", "--logs", other, "--json")["status"] == "no champion"
    assert bytes_under(home.root) == previous


def test_logs_that_are_not_there_are_an_error(swing, kinemill, tmp_path):
    swing()
    with pytest.raises(BadInput, match="no-such: is not there; name a log or a folder"):
        kinemill("data", "drift", "swing", "--logs", tmp_path / "no-such")
