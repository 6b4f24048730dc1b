"""`kinemill run` of a task with a loop: options without a meaning, tables and exit codes."""

import pytest

from kinemill.errors import BadInput
from kinemill_dagster.pipelines import loop

NAME = "cart_pole_swing_up_loop"
ROUND = {
    **{"number": 0, "steps": 1000, "version": 1, "alias": "champion", "nrmse": 0.5},
    **{"successes": 15, "trials": 16, "wall": 40.0},
}


@pytest.mark.parametrize("option", ["--logs", "--resume"])
def test_options_of_a_single_run_are_refused(home, tmp_path, kinemill, option):
    arguments = [option, tmp_path] if option == "--logs" else [option]
    with pytest.raises(BadInput, match=f"{option}.*: does not apply to a task with a `loop` part"):
        kinemill("run", NAME, *arguments)


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("unchanged", 0), ("missed", 1)])
def test_the_exit_code_says_whether_the_target_was_reached(
    home, monkeypatch, kinemill, status, code
):
    document = {
        **{"task": NAME, "status": status, "steps": 1000, "seconds_of_robot": 20.0},
        **{"version": 1, "successes": 15, "trials": 16, "rounds": [ROUND], "report": "loop.html"},
    }
    monkeypatch.setattr(loop, "run_loop", lambda *_: document)
    printed = kinemill("run", NAME, code=code)
    assert f"{status}: 15 of 16 succeed after 20 s of robot time" in printed
    assert kinemill("run", NAME, "--json", code=code) == document
