"""The commands for models, with their arguments."""

import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.cli.promote import print_causes
from kinemill.errors import BadInput, TaskError
from kinemill.register import promotion


@pytest.fixture
def kinemill(with_champion, monkeypatch):
    chain = with_champion(2)
    monkeypatch.setattr(promotion, "run_stored_cases", lambda folder: (True, "answered"))
    chain.register(0.26, gain=0.7)

    def run(*args, code=0):
        done = CliRunner().invoke(app, [str(arg) for arg in args])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    return run


def test_why_was_my_model_refused(kinemill):
    message = kinemill("model", "why", "cart")
    assert "version 2 stayed champion" in " ".join(message.split())
    assert "beats_linear_sincos: train longer, on more logs" in message
    document = json.loads(kinemill("model", "why", "cart:3", "--json"))
    assert document["decision"] == "refused"


def test_rules_with_the_same_fix_are_one_cause(capsys):
    causes = [
        {"rule": "no_worse_linear", "fix": "train longer", "follows": None},
        {"rule": "no_worse_champion", "fix": "train longer", "follows": None},
        {"rule": "latency", "fix": "use a smaller model", "follows": None},
        {"rule": "beats_linear", "fix": None, "follows": "no_worse_linear"},
    ]
    print_causes(causes, "cart:3")
    assert capsys.readouterr().out.splitlines() == [
        "1. no_worse_linear, no_worse_champion: train longer",
        "2. latency: use a smaller model",
        "   because of no_worse_linear also: beats_linear",
    ]


def test_roll_back_at_3_am_and_look_who_did_it(kinemill):
    assert kinemill("model", "rollback", "cart", "--why", "it shakes").startswith(
        "cart:1 @champion, replacing version 2"
    )
    document = json.loads(kinemill("model", "audit", "cart", "--json"))
    assert [event["what"] for event in document["events"]][-2:] == ["refused", "rolled back"]
    assert "it shakes" in kinemill("model", "audit", "cart")


def test_promoting_wants_the_gate_or_force_and_the_champion_that_was_seen(kinemill):
    with pytest.raises(BadInput, match="the gate refused it: beats_linear"):
        kinemill("model", "promote", "cart:3")
    with pytest.raises(Exception, match="the champion changed: it is now version 2"):
        kinemill("model", "promote", "cart:1", "--expect", "1")
    document = json.loads(kinemill("model", "promote", "cart:1", "--expect", "2", "--json"))
    assert (document["version"], document["aliases"], document["previous_champion"]) == (
        1,
        ["champion"],
        2,
    )


def test_compare_names_versions_in_three_ways_and_writes_a_page(kinemill, tmp_path, chain):
    # Horizon 25 fits the test episode of 40 rows with its history of 3.
    for second in ("cart:2", "2", "@champion"):
        document = json.loads(kinemill("model", "compare", "cart:1", second, "--json"))
        assert (document["a"]["version"], document["b"]["version"]) == (1, 2)
    message = kinemill("model", "compare", "cart:1", "2", "--out", tmp_path / "out")
    assert "error by steps ahead, version 1 / version 2" in message
    assert (tmp_path / "out" / "report.html").is_file()
    with pytest.raises(BadInput):
        kinemill("model", "compare", "cart:1", "7")


def test_pull_brings_the_champion_and_approve_finds_nothing_to_do(kinemill, tmp_path, monkeypatch):
    message = json.loads(
        kinemill("model", "pull", "cart@champion", "--to", tmp_path / "model", "--json")
    )
    assert (message["version"], message["status"]) == (2, "pulled")
    assert (tmp_path / "model" / "rollout.onnx").is_file()
    with pytest.raises(BadInput, match="passed the gate before"):
        kinemill("model", "approve", "cart:1")


def test_evaluate_without_logs_and_out_is_refused(kinemill):
    with pytest.raises(BadInput, match="expected --logs and --out"):
        kinemill("model", "evaluate", "cart")


def test_reading_the_registry_needs_a_task_of_that_name(kinemill, tmp_path):
    stranger = tmp_path / "notes.yaml"
    stranger.write_text("shopping: [milk]\n")
    for command in ("list", "audit", "show"):
        with pytest.raises(TaskError, match=r"notes\.yaml"):
            kinemill("model", command, str(stranger))
        with pytest.raises(BadInput, match="unknown"):
            kinemill("model", command, "kart")
