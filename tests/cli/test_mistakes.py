"""Mistakes that people type: each answer names the place, what was found, and what to do."""

# ruff: noqa: E501 - a line holds a whole answer

import math
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import KinemillError
from kinemill.register.versions import Version
from kinemill.store import locks
from kinemill.store.home import Home
from kinemill_dagster.pipelines.project_files import make_project
from tests.cli import conftest

ROOT = Path(__file__).resolve().parents[2]
TASK = conftest.TASK.replace("type: mlp}}", "type: mlp}, steps: 20}")
CONTROL = "control:\n  cost: [{of: angle}]\n  controller: {type: mppi}\n"
COMPONENT = "type: kinemill_dagster.KinemillTask\nattributes: {task: swing, dt: 0.01}\n"
CHECK = "data check logs --task swing"
RUN = "run swing --logs logs"
NO_VERSION = "swing: has no version yet; kinemill run swing"
# A replacement in the task file, the command, and the whole answer.
TASK_FILE = {
    "missing key": ("dt: 0.01\n", "", CHECK, "swing.yaml:1: dt: is missing; expected time step of every episode, s"),
    "capital name": ("task: swing", "task: Swing", CHECK, "swing.yaml:1: task: 'Swing' is not a valid task name: use a lower-case letter followed by lower-case letters, digits and _"),
    "space in a channel": ("  torque:", "  my torque:", CHECK, "swing.yaml:6: channels.my torque: 'my torque' is not a valid channel name: use a letter followed by letters, digits and _; name the log's column at `source`"),
    "unit by name": ("unit: N*m", "unit: Ampere", CHECK, "swing.yaml:6: channels.torque.unit: unit 'Ampere': is not known; expected a unit such as rad, rad/s, N*m, m, m/s, V, or 1 for none; write A"),
    "another quantity": ("unit: N*m", "unit: N*m, source: {name: torque, unit: rpm}", CHECK, "swing.yaml:6: channels.torque: unit 'rpm': cannot be converted to 'N*m'; expected a unit of the same quantity; correct the unit of the column in `source`, or the unit of the channel"),
    "limits reversed": ("[-5, 5]", "[5, -5]", CHECK, "swing.yaml:6: channels.torque.limits: the lower limit 5 is not below the upper limit -5; write [-5, 5]"),
    "percentage": ('["*b.csv"]', "20", CHECK, "swing.yaml:8: dataset.test: Input should be less than 1; found 20; it is a share: 20 % is 0.2"),
    "rate for dt": ("dt: 0.01", "dt: 100", CHECK, "logs, checked for swing quarantined logs/a.csv and 1 more with the same problem - too_short, whole log: 300 rows in stretches shorter than two steps; timestamps are usually 0.01 s apart, expected stretches of at least 100 s without a gap of 500 s; `dt` is the time between two rows, in s; if 100 is a rate in Hz, set `dt: 0.01` 2 logs: 2 quarantined logs/b.csv: an exact copy of logs/a.csv"),
    "joined task": ('["*b.csv"]', '["*b.csv"], join: [nothing]', RUN, "swing.yaml: dataset.join: nothing: nothing.yaml does not exist; expected the name of a task next to this one"),
    "no GPU": ("steps: 20", "steps: 20, device: cuda", RUN, "learn.device: cuda, which torch {torch} does not find on this machine; expected auto or cpu; `kinemill doctor` lists the installed torch and the GPUs"),
    "plant of another rate": (TASK, f"{TASK}{CONTROL}  plant: pendulum\n", RUN, "control.plant pendulum: has a period of 0.02 s; expected the task's dt, 0.01 s; set `dt: 0.02`; a task of a real robot needs no `control.plant`"),
    "start from nothing": ("steps: 20", "steps: 20, start_from: nowhere", RUN, "learn.start_from: nowhere: no such folder: {root}/nowhere and nowhere; expected the folder of a trained model or of a checkpoint, or models:/TASK@champion"),
    "start from no version": ("steps: 20", "steps: 20, start_from: models:/swing@champion", RUN, "learn.start_from: models:/swing@champion: nothing is registered yet; kinemill run swing"),
    "target without success": (TASK, f"{TASK}{CONTROL}loop: {{target: 0.9}}\n", CHECK, "swing.yaml:13: loop.target: needs `control.success`: what a successful episode reaches"),
    "no cost": (TASK, f"{TASK}control: {{controller: {{type: mppi}}}}\n", CHECK, "swing.yaml:10: control.cost: is missing; expected running cost: the sum of these terms"),
}  # fmt: skip
# A command, and the whole answer.
COMMANDS = {
    "command": ("modle list", "Usage: kinemill [OPTIONS] COMMAND [ARGS]... Try 'kinemill -h' for help. Error: No such command 'modle'. Did you mean 'model'?"),
    "subcommand": ("model shoow swing", "Usage: kinemill model [OPTIONS] COMMAND [ARGS]... Try 'kinemill model -h' for help. Error: No such command 'shoow'. Did you mean 'show'?"),
    "option": ("run swing --log logs", "Usage: kinemill run [OPTIONS] {task} Try 'kinemill run -h' for help. Error: No such option: --log (Possible options: --logs)"),
    "port": ("ui --port 99999", "Usage: kinemill ui [OPTIONS] Try 'kinemill ui -h' for help. Error: Invalid value for '--port': Input should be less than or equal to 65535"),
    "task": ("task show swign", "task 'swign': unknown; did you mean 'swing'?"),
    "suffix": ("task show other", "task 'other': is in {root}/tasks/other.yml, which is not read; rename the file to other.yaml"),
    "Latin-1": ("task show latin", "{root}/tasks/latin.yaml:2: has the byte 0xb0, which is not UTF-8; save the file as UTF-8"),
    "two files": ("task show double", "task 'double': is in two files: {root}/tasks/double.yaml and {root}/defs/double/defs.yaml; expected one file for a name; rename one of the two tasks, or move its file out of the project"),
    "slash": ("model show swing/2", "swing/2: is not a model; expected TASK, TASK@alias or TASK:version; write swing:2"),
    "zip in a check": ("data check zipped --task swing", "zipped: holds no complete log of the task 'swing': logs.zip: no log: an archive, and no reader extracts it, extract it next to the other logs; expected files with the suffix .csv, .tsv, .gz, .bz2, .xz, .zst that match ingest.include: *; put logs there, or name a folder with --logs"),
    "empty folder": ("run swing --logs empty", "{root}/empty: holds no complete log of the task 'swing'; expected files with the suffix .csv, .tsv, .gz, .bz2, .xz, .zst that match ingest.include: *; put logs there, or name a folder with --logs"),
    "wrong path": ("run swing --logs nowhere", "--logs nowhere: is not there; name a log or a folder of logs; a path with spaces needs quotes"),
    "quoted pattern": ("data check logs/*.csv --task swing", "logs/*.csv: does not exist; write the pattern without quotes, so that the shell expands it, or name the folder"),
    "file of a check": ("data check zipped/logs.zip --task swing", "logs, checked for swing quarantined zipped/logs.zip - format, file: is an archive, and no reader extracts it, expected a log; extract it next to the other logs 1 log: 1 quarantined"),
    "name of a draft": ("new My-robot --from logs", "NAME: 'My-robot' is not a valid task name: use a lower-case letter followed by lower-case letters, digits and _; such as my_robot"),
    "example into a file": ("examples copy pendulum --to a_file", "a_file: is a file; expected a folder; choose a folder with --to"),
    "rollout without control": ("model rollout swing", "{root}/tasks/swing.yaml: has no `control` part; expected a `control` part with cost and controller; see docs/control.md"),
    "project in a file": ("init a_file", "{root}/a_file: cannot become a project: {root}/a_file is a file; expected a folder; choose another one"),
    "example": ("examples copy pendulm", "example 'pendulm': unknown; did you mean 'pendulum'?"),
    "preset": ("run swing --with model=smal", "preset 'model=smal': model has no preset 'smal'; did you mean 'small'?"),
    "model": ("run swing --set learn.model.type=mpl", "{root}/tasks/swing.yaml:9: learn.model: model 'mpl': unknown name; did you mean 'mlp'? (after --set learn.model.type)"),
    "part by --set": ('run swing --set control={"cost":[{"of":"angle"}],"controller":{"type":"cmae"}}', "--set control.controller.type: control.controller: controller 'cmae': unknown name; did you mean 'cma_es'?"),
    "key in a part by --set": ('run swing --set control={"plant":"pendulum","cost":[{"of":"agle"}],"controller":{"type":"mppi"}}', "--set control.cost: control.cost.0.of: 'agle' is no state, action or derived quantity; did you mean 'angle'?"),
    "no version": ("model rollback swing", NO_VERSION),
    "no version to show": ("model show swing", NO_VERSION),
    "no version to explain": ("model why swing", NO_VERSION),
    "no version to export": ("model export swing --to x", NO_VERSION),
    "no versions to compare": ("model compare swing", NO_VERSION),
    "zip in a draft": ("new arm --from zipped/logs.zip", "zipped/logs.zip: is an archive, and no reader extracts it; expected a log; extract it next to the other logs"),
    "draft over a task": ("new swing --from logs", "{root}/tasks/swing.yaml: exists already; choose another name, or another file with --to"),
    "missing log": ("data show swing nothing", "nothing: is no recording of swing; kinemill data ingest swing reads logs"),
    "space without quotes": ("run swing --logs my logs", "Usage: kinemill run [OPTIONS] {task} Try 'kinemill run -h' for help. Error: Invalid value: extra argument 'logs'; a path with spaces needs quotes"),
    "list by --set": ("run swing --set learn.model.hidden_sizes=x", "--set learn.model.hidden_sizes: Input should be a valid list; found 'x'"),
    "pull without a registry": ("model pull swing@champion --to x", "{root}/var/mlflow.db: is missing: no registry, or not mounted; mount the home; if it is new: kinemill run swing"),
    "drift without recordings": ("data drift swing", "swing: has no recording yet; kinemill data ingest swing; or name logs with --logs"),
    "verify without a folder": ("model verify nowhere", "nowhere: is not a folder; expected the folder of a model"),
    "draft without a clock": ("new arm --from clockless", "clockless: none of 1 logs can be read; a.csv: no column rises as a clock does; expected timestamps under a name such as time or timestamp, or dates such as 2024-05-01 12:00:00 or 1.5.2024 12:00:00; for a log without timestamps, set its rows per second: --rate HZ"),
    "column twice": ("new arm --from clockless --columns a,b,a", "--columns a,b,a: has 'a' twice; expected a different name for each column"),
    "rate of an environment": ("new arm --learn reinforcement --env CartPole-v1 --rate 5", "--learn reinforcement: uses no logs, so --rate has no effect; kinemill new NAME --learn reinforcement --env CartPole-v1"),
    "environment version": ("run gym:CartPole-v9", "environment.id: CartPole-v9: cannot be made: Environment version `v9` for environment `CartPole` doesn't exist. It provides versioned environments: [ `v0`, `v1` ].; did you mean 'CartPole-v1'?; an id of another package is PACKAGE:CartPole-v9"),
}  # fmt: skip
# A command about a task with the versions 1, the champion, and 2; and the whole answer.
VERSIONS = {
    "version": ("model show swing:9", "swing:9: is not a version; expected one of 2, 1@champion; kinemill model list swing lists them"),
    "alias": ("model why swing@chmpion", "swing@chmpion: is not a version; expected one of 2, 1@champion; kinemill model list swing lists them"),
}  # fmt: skip
# A log by its mistake, and the reason for its quarantine.
BAD_LOGS = {
    "column typo": "columns angle, header: no column 'angle', expected one column of that name; the log has 'time', 'angel', 'velocity', 'torque'; did you mean 'angel'? name the log's column at `channels.angle.source`",
    "degrees": "angle_unit angle, grid rows 0-299, 0.000-2.990 s: velocity is 0.01745 times the change of angle: angle is in degrees, expected rad; set channels.angle.source: {name: ..., unit: ...}",
    "empty": "format, file: is empty, expected a header line and rows; record the log again, or leave it out at `ingest.exclude`",
    "binary": "format, file: has a line that cannot be split: a carriage return in a field, expected rows of separated fields; repair it",
    "headerless": "columns, header: no column 'time' or 'timestamp' or 't', expected one column of that name; the log has 'column_1', 'column_2', 'column_3', 'column_4'; name the log's column at `ingest.time`; for a log without stamps, its `ingest.rate` in Hz",
    "no clock": "columns, header: no column 'time' or 'timestamp' or 't', expected one column of that name; the log has 'angle', 'velocity', 'torque'; name the log's column at `ingest.time`; for a log without stamps, its `ingest.rate` in Hz",
    "five rows": "min_steps, grid rows 0-4, 0.000-0.040 s: a piece of 5 rows, expected at least 20 rows; lower validate.min_steps to accept shorter pieces",
}  # fmt: skip
# A log that is read in spite of its mistake, and what is said about it.
ODD_LOGS = {
    "cut": "cut_line, row 300: the last line has 4 fields and no newline, expected 4 fields and a newline; nothing to do: the row is left out",
    "text": "number angle, row 51: the text 'abc0.997495', expected a number, or nothing for a missing value; correct the row, or name another column",
    "newest first": "newest_first, whole log: timestamps fall: the newest row is first, expected rising timestamps; nothing to do: rows are read from the last one to the first",
    "UTF-16": "1 episode, 300 rows",
    "CRLF": "1 episode, 300 rows",
    "tabs": "1 episode, 300 rows",
    "Latin-1": "1 episode, 300 rows",
}  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a task, two logs, and files that cannot be used."""
    root = tmp_path / "mill"
    monkeypatch.setenv("KINEMILL_HOME", str(root / "var"))
    monkeypatch.delenv("KINEMILL_TASKS", raising=False)
    monkeypatch.delenv("KINEMILL_PROJECT", raising=False)
    make_project(root)
    monkeypatch.chdir(root)
    tasks = root / "tasks"
    for name in ("swing.yaml", "other.yml", "double.yaml"):
        (tasks / name).write_text(TASK.replace("swing", name.partition(".")[0]))
    (tasks / "latin.yaml").write_bytes("task: latin\ndescription: 20 °C\n".encode("latin-1"))
    (root / "defs" / "double").mkdir()
    component = COMPONENT.replace("swing", "double")
    (root / "defs" / "double" / "defs.yaml").write_text(component)
    for folder in ("logs", "zipped", "empty", "clockless"):
        (root / folder).mkdir()
    rows = "\n".join(f"{0.01 * row:.2f},{row % 7},{row % 5},1" for row in range(300))
    for name in ("a.csv", "b.csv"):
        (root / "logs" / name).write_text(f"time,angle,velocity,torque\n{rows}\n")
    with zipfile.ZipFile(root / "zipped" / "logs.zip", "w") as archive:
        archive.write(root / "logs" / "a.csv", "a.csv")
    warming = "\n".join(f"{20 + 0.001 * row:.3f},{row % 7}" for row in range(300))
    (root / "clockless" / "a.csv").write_text(f"Temp °C,angle\n{warming}\n")
    (root / "a_file").write_text("x")
    return root


def swinging_table(step=0.01, head="time,angle,velocity,torque", phase=0.0):
    """Return 300 rows of a swing as CSV."""
    turns = [0.03 * row + phase for row in range(300)]
    rows = [
        (step * row, math.sin(turn), 3 * math.cos(turn), math.cos(turn / 3))
        for row, turn in enumerate(turns)
    ]
    return "\n".join([head, *(",".join(f"{value:g}" for value in row) for row in rows)]) + "\n"


def write_odd_logs(folder):
    """Write a log with each mistake of `BAD_LOGS` and `ODD_LOGS`."""
    table = swinging_table()
    head, *rows = table.splitlines(keepends=True)
    degrees = [line.split(",") for line in rows]
    contents = {
        "column typo": swinging_table(head="time,angel,velocity,torque"),
        "degrees": head
        + "".join(f"{t},{math.degrees(float(angle)):g},{v},{u}" for t, angle, v, u in degrees),
        "empty": "",
        "binary": bytes(range(256)) * 20,
        "headerless": "".join(rows),
        "no clock": "".join(line.partition(",")[2] for line in [head, *rows]),
        "five rows": head + "".join(rows[:5]),
        "cut": table[:-9],
        "text": table.replace("\n0.5,", "\n0.5,abc", 1),
        "newest first": head + "".join(reversed(rows)),
        "UTF-16": table.encode("utf-16"),
        "CRLF": table.replace("\n", "\r\n"),
        "tabs": table.replace(",", "\t"),
        "Latin-1": "".join(
            f"{line.rstrip()},{cell}\n"
            for line, cell in zip([head, *rows], ["°C", *["20"] * len(rows)], strict=True)
        ).encode("latin-1"),
    }
    for name, content in contents.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.csv").write_bytes(data)


def answer_to(command):
    result = CliRunner().invoke(app, command.split())
    assert isinstance(result.exception, KinemillError | SystemExit), result.exception
    is_error = isinstance(result.exception, KinemillError)
    return str(result.exception) if is_error else " ".join(result.output.split())


@pytest.mark.parametrize("mistake", TASK_FILE)
def test_mistake_in_a_task_file_is_answered_with_its_line_and_fix(project, mistake):
    import torch

    old, new, command, answer = TASK_FILE[mistake]
    (project / "tasks" / "swing.yaml").write_text(TASK.replace(old, new))
    answer = answer.replace("{torch}", torch.__version__)
    actual = answer_to(command).replace(f"{project}/tasks/", "")
    assert actual.replace(str(project), "{root}") == answer


@pytest.mark.parametrize("mistake", COMMANDS)
def test_mistake_in_a_command_is_answered_with_its_fix(project, mistake):
    command, answer = COMMANDS[mistake]
    assert answer_to(command) == answer.replace("{root}", str(project))


@pytest.mark.parametrize("mistake", VERSIONS)
def test_mistake_in_the_name_of_a_version_is_answered_with_the_versions(
    project, monkeypatch, mistake
):
    home = Home(project / "var")
    at = "2026-03-01T00:00:00+00:00"
    named = {2: (), 1: ("champion",)}
    versions = [Version(home, "swing", *item, at, None, "", "", {}) for item in named.items()]
    monkeypatch.setattr("kinemill.register.versions.versions_of", lambda *_: versions)
    command, answer = VERSIONS[mistake]
    assert answer_to(command) == answer


def test_mistake_in_the_content_of_a_log_is_its_reason(project):
    folder = project / "empty"
    write_odd_logs(folder)
    answer = answer_to("data check empty --task swing")
    for name, reason in BAD_LOGS.items():
        assert f"quarantined empty/{name}.csv - {reason}" in answer, name
    for name, remark in ODD_LOGS.items():
        assert remark in answer.partition(f"episodes empty/{name}.csv: ")[2], name


def test_milliseconds_without_a_unit_are_recognized(project):
    (project / "empty" / "x.csv").write_text(swinging_table(step=10.0))
    gaps = " ".join(
        f"- gap, after row {row}, {10 * row - 10}-{10 * row} s: 10 s without a timestamp, expected "
        "at most 0.05 s; `ingest.resample.max_gap` sets the longest gap to interpolate"
        for row in (1, 2, 3)
    )
    assert answer_to("data check empty --task swing") == (
        f"logs, checked for swing quarantined empty/x.csv {gaps} "
        "- gap, later: 296 more, expected none; see the previous reasons "
        "- too_short, whole log: 300 rows in stretches shorter than two steps; timestamps are "
        "usually 10 s apart, expected stretches of at least 0.01 s without a gap of 0.05 s; "
        "if the timestamps are in ms, set `ingest.time_unit: ms` 1 log: 1 quarantined"
    )


def test_empty_folder_after_earlier_recordings_is_an_error(project, kinemill):
    (project / "logs" / "b.csv").write_text(swinging_table(phase=1.5))
    kinemill("data", "ingest", "swing", "logs")
    answer = COMMANDS["empty folder"][1].replace("{root}", str(project))
    assert answer_to("run swing --logs empty") == answer
    assert answer_to("data ingest swing empty").endswith(answer.partition(": ")[2])


def test_history_longer_than_the_logs_is_refused_with_the_number_of_rows(project):
    for name, phase in (("a.csv", 0.0), ("b.csv", 1.5)):
        (project / "logs" / name).write_text(swinging_table(phase=phase))
    answer = answer_to(f"{RUN} --set learn.history=100000")
    assert answer == (
        f"{project}/tasks/swing.yaml: dataset, train split: no episode is long enough: a.csv "
        "270 rows; expected an episode of at least 100010 rows (learn.history 100000 + "
        "learn.horizon 10); lower learn.history or learn.horizon, or add longer logs"
    )


def test_problem_of_many_logs_is_told_once(project):
    for number in range(8):
        text = (project / "logs" / "a.csv").read_text().replace("torque", "moment")
        lines = text.splitlines(keepends=True)
        (project / "zipped" / f"{number}.csv").write_text("".join(lines[: len(lines) - number]))
    assert answer_to("data check zipped --task swing") == (
        "logs, checked for swing quarantined zipped/0.csv and 7 more with the same problem "
        "- columns torque, header: no column 'torque', expected one column of that name; the log "
        "has 'time', 'angle', 'velocity', 'moment'; name the log's column at "
        "`channels.torque.source` 8 logs: 8 quarantined"
    )


def test_home_that_cannot_be_created_is_an_error(project, monkeypatch):
    monkeypatch.setenv("KINEMILL_HOME", "/proc/x")
    expected = "/proc/x: cannot be created; set KINEMILL_HOME to another folder"
    assert answer_to(RUN) == expected


def test_second_run_of_a_task_says_whom_it_waits_for_and_continues(project, monkeypatch):
    (project / "logs" / "a.csv").write_text(swinging_table())
    first = ExitStack()
    first.enter_context(locks.lock(Home(project / "var"), "ingest-swing"))

    def end_first_run(_):
        first.close()
        return "held by ann, process 7 on mill (kinemill)"

    monkeypatch.setattr(locks, "holder", end_first_run)
    result = CliRunner().invoke(app, ["data", "ingest", "swing", "logs"])
    assert result.exit_code == 0
    assert result.stderr == (
        "waiting for the lock 'ingest-swing': held by ann, process 7 on mill (kinemill)\n"
    )
    assert result.stdout.endswith("2 logs: 2 accepted\n")


def test_python_that_is_too_old_is_refused_by_make(tmp_path):
    python = tmp_path / "python"
    text = f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 10, 12)\nexec(sys.argv[2])\n"
    python.write_text(text)
    python.chmod(0o755)
    stamp = tmp_path / "stamp"
    command = ["make", "-C", str(ROOT), f"PYTHON={python}", f"STAMP={stamp}", str(stamp)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "kinemill needs Python 3.11 or newer; set PYTHON="
