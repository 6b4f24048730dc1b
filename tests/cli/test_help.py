"""The help of every command: a short summary, plain options and an example to copy."""

import json
import re
import subprocess
import sys
from importlib import metadata

import pytest
import typer
from typer.testing import CliRunner

from kinemill.cli.app import LazyCommand, app
from kinemill.register.audit_log import Event, append_event

ROOT = typer.main.get_command(app)
WIDTH = 60  # columns of a summary: at 80 the list of commands cuts none


def walk(command, words=("kinemill",)):
    command = command.load() if isinstance(command, LazyCommand) else command
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*words, name))


EVERY = list(walk(ROOT))
NAMES = [" ".join(words) for words, _ in EVERY]


def invoke(*arguments):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})


@pytest.mark.parametrize("command", [command for _, command in EVERY], ids=NAMES)
def test_a_summary_is_one_short_sentence(command):
    summary = command.help.split("\n\n")[0]
    assert len(summary) <= WIDTH
    assert summary.endswith(".")
    assert summary[0].isupper()
    assert "\n" not in summary


def test_help_of_a_group_shows_the_summary_of_each_command():
    for words, group in EVERY:
        for name, child in getattr(group, "commands", {}).items():
            (loaded,) = (each for path, each in EVERY if path == (*words, name))
            assert child.get_short_help_str(WIDTH) == loaded.help.split("\n\n")[0]


@pytest.mark.parametrize("words", [words for words, _ in EVERY], ids=NAMES)
def test_help_has_an_example_of_this_command(words):
    displayed = invoke(*words[1:], "--help").stdout
    (example,) = re.findall(r"^  Example: (kinemill .*)$", displayed, re.MULTILINE)
    assert example.startswith(" ".join(words))


@pytest.mark.parametrize("command", [command for _, command in EVERY], ids=NAMES)
def test_every_option_has_a_help_text_that_is_a_sentence(command):
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.help


def test_version_is_that_of_the_installed_package():
    assert invoke("--version").stdout == f"kinemill {metadata.version('kinemill')}\n"


def complete(typed):
    """Return what the shell offers for the last word."""
    requests = {
        "_KINEMILL_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    return CliRunner().invoke(app, [], prog_name="kinemill", env=requests).stdout.split()


def test_the_shell_completes_groups_and_commands():
    assert complete("kinemill mo") == ["model"]
    assert complete("kinemill model roll") == ["rollout", "rollback"]
    assert complete("kinemill data quarantine re") == ["release", "reject"]


def test_the_shell_completes_task_names_and_versions(tmp_path, home, monkeypatch):
    for name in ("arm", "armada", "leg"):
        (tmp_path / f"{name}.yaml").touch()
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path))
    assert complete("kinemill run ar") == ["arm", "armada"]
    assert complete("kinemill model show le") == ["leg"]  # no registry yet
    for number in (1, 2):
        append_event(home, "arm", Event("2026-03-01", "ada", "champion", number, None, "better"))
    addresses = ["arm", "arm@champion", "arm@challenger", "arm:1", "arm:2"]
    assert complete("kinemill model show arm") == [*addresses, "armada"]
    assert complete("kinemill model why arm:") == ["arm:1", "arm:2"]


def test_the_shell_completes_tasks_that_are_components(tmp_path, monkeypatch):
    monkeypatch.delenv("KINEMILL_TASKS", raising=False)
    monkeypatch.setenv("KINEMILL_PROJECT", str(tmp_path))
    (tmp_path / "tasks").mkdir()
    for name in ("workspace.yaml", "tasks/arm.yaml", "tasks/leg.yaml"):
        (tmp_path / name).touch()
    component = "type: kinemill_dagster.KinemillTask\nattributes: "
    for name, text in {
        "group/armature": f"{component}{{dt: 0.01}}\n",
        "alias": f"{component}{{file: tasks/arm.yaml}}\n",
        "arms": "type: dagster.DefinitionsComponent\n",
        "arm_draft": f"{component}[unclosed\n",
    }.items():
        (tmp_path / "defs" / name).mkdir(parents=True)
        (tmp_path / "defs" / name / "defs.yaml").write_text(text)
    assert complete("kinemill run ar") == ["arm", "arm_draft", "armature"]
    assert complete("kinemill model show a") == ["arm", "arm_draft", "armature"]


HEAVY = {  # without pydantic, which Typer imports when it parses arguments
    *("dagster", "great_expectations", "mlflow", "numpy", "onnx", "onnxruntime", "polars"),
    *("rich", "sqlalchemy", "torch", "yaml"),
}


def test_help_of_every_command_imports_nothing_heavy():
    """One process prints the help of all commands; it names the command that imports a package."""
    code = (
        "import contextlib, io, json, sys\n"
        "from kinemill.cli.app import app\n"
        "imported, seen = {}, set()\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        app([*words, '--help'])\n"
        "    imported[' '.join(words)] = sorted(set(sys.modules) - seen)\n"
        "    seen.update(sys.modules)\n"
        "print(json.dumps(imported))"
    )
    words = json.dumps([path[1:] for path, _ in EVERY])
    command = [sys.executable, "-c", code, words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    imported = json.loads(done.stdout)
    assert len(imported) == len(EVERY)
    assert imported["data view"] == ["kinemill.cli.view"]
    heavy = {name: HEAVY.intersection(modules) for name, modules in imported.items()}
    assert {name: packages for name, packages in heavy.items() if packages} == {}
