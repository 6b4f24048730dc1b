"""`kinemill run` of a task with a loop: options without a meaning, tables and exit codes."""

import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill_dagster.pipelines import loop

NAME = "cart_pole_swing_up_loop"
ROUND = {
    **{"number": 0, "steps": 1000, "version": 1, "alias": "champion", "nrmse": 0.5},
    **{"successes": 15, "trials": 16, "wall": 40.0},
}


@pytest.mark.parametrize("option", ["--logs", "--resume"])
def test_options_of_a_single_run_are_refused(home, tmp_path, option):
    arguments = [option, str(tmp_path)] if option == "--logs" else [option]
    done = CliRunner().invoke(app, ["run", NAME, *arguments])
    assert f"{option}: does not apply to a task with a `loop` part" in str(done.exception)


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("unchanged", 0), ("missed", 1)])
def test_the_exit_code_says_whether_the_target_was_reached(home, monkeypatch, status, code):
    document = {
        **{"task": NAME, "status": status, "steps": 1000, "seconds_of_robot": 20.0},
        **{"version": 1, "successes": 15, "trials": 16, "rounds": [ROUND], "report": "loop.html"},
    }
    monkeypatch.setattr(loop, "run_loop", lambda *_: document)
    printed = CliRunner().invoke(app, ["run", NAME])
    assert printed.exit_code == code
    assert f"{status}: 15 of 16 succeed after 20 s of robot time" in printed.output
    as_json = CliRunner().invoke(app, ["run", NAME, "--json"])
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (code, document)
