"""The first hour of two newcomers: `make prove-first-hour` (20 min).

An engineer has logs of a German data logger, a terminal of 100 columns, and a robot with numpy and
onnxruntime; a second user has the same logs and a browser. Each step is timed, and its output is
searched for surprises: a traceback, a warning, an absurd number, a contradiction, a line wider than
the terminal; on a page an error of the console, a word of the command line, or a cut table. They
play in a new project each time.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from benchmarks import ROOT, _proof
from benchmarks._browser import Tab, browser
from docs.screenshots import servers
from kinemill.store import publish_json, read_json
from tests.terminal import Terminal

COLUMNS = 100  # of the terminal
PHONE = 390  # px
MOST = 600.0  # s of a step
_LISTED = 5.0  # s of a step in the table, unless it surprises
TASK = "arm"
BINARIES = Path(sys.executable).parent
UNITS = {"qpos_rod": "Winkel [°]", "qvel_rod": "Drehzahl [rpm]", "ctrl_rod": "Drehmoment [Nm]"}
FACTORS = {"qpos_rod": 57.29577951, "qvel_rod": 9.549296586, "ctrl_rod": 1.0}
CONTROL = """
control:
  seconds: 4
  cost: [{of: winkel, target: 0.5, weight: 5}, {of: drehmoment, weight: 0.01}]
  controller: {type: mppi, samples: 128, horizon: 25, knots: 5}
"""
MPC = """
import numpy as np, time
from kinemill.control import learned_model, make_planner
from kinemill.task import load_task
task = load_task("arm")
began = time.process_time()  # CPU s: the machine may be busy
model = learned_model(task, "models:/arm@champion")
loaded = time.process_time() - began
planner = make_planner(task, [model])
rows = planner.history
for _ in range(20):
    planner.act(np.zeros((rows, 2)), np.zeros((rows - 1, 1)))
print("a warning: loading takes more than 3 s" if loaded > 3.0 else "loaded")
"""
ROBOT = """
import numpy as np
from kinemill import runtime
model = runtime.load("model")
future = model.rollout(
    np.zeros((1, model.history, 2), np.float32),
    np.zeros((1, model.history - 1, 1), np.float32),
    np.zeros((1, 25, 1), np.float32),
)
print(future.shape)
"""
PROGRAM = """
#include <stdio.h>
#include "step.h"
int main(void) {
    float state[ARM_STATES] = {0}, action[ARM_ACTIONS] = {0}, carry[ARM_CARRY] = {0};
    for (int step = 0; step < ARM_HISTORY + 25; step++) arm_step(state, action, carry, state);
    printf("%g\\n", state[0]);
    return 0;
}
"""
_SURPRISES = {
    "traceback": re.compile(r"Traceback \(most recent|^\w+Error: ", re.MULTILINE),
    "warning": re.compile(r"\bwarning\b", re.IGNORECASE),
    "absurd number": re.compile(r"\d{1,3}(?:,\d{3})+ %|\d\.\d{7,}|\de\+\d\d"),
}
_CONTRADICTIONS = (
    ("not significantly different", "significantly worse"),
    ("is refused:", "is champion:"),
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]")
_COMMANDS = re.compile(r"\bkinemill (?:run|new|model|data|runs|task|ui) |(?<!\w)--[a-z]")


@dataclass
class Journey:
    """The steps of a newcomer, with their seconds and surprises."""

    who: str
    rows: list[tuple[str, float, list[str]]] = field(default_factory=list)

    def step(self, name: str, act: Callable[[], list[str]]) -> None:
        """Time a step; a failure ends the proof."""
        began = time.monotonic()
        surprises = act()
        self.rows.append((name, time.monotonic() - began, surprises))
        print(f"{self.who}: {name}, {self.rows[-1][1]:.1f} s {surprises or ''}", flush=True)


def table_of(results: dict[str, list[tuple[str, float, list[str]]]]) -> str:
    """Return the steps of the newcomers as a table, without short ones that surprise nobody."""
    rows: list[list[object]] = []
    for who, steps in results.items():
        for name, seconds, surprises in steps:
            if seconds >= _LISTED or surprises:
                texts = "; ".join(line.partition(":")[0] for line in surprises)
                rows.append([who, name, f"{seconds:.1f}", texts])
        total = sum(seconds for _, seconds, _ in steps)
        count = sum(len(surprises) for *_, surprises in steps)
        rows.append([who, f"**{len(steps)} steps**", f"{total:.0f}", f"{count} surprises"])
    return _proof.table(["newcomer", "step", "s", "surprises"], rows)


def surprises_in(text: str, columns: int = COLUMNS) -> list[str]:
    """Return what would surprise a reader of a terminal's text."""
    plain = _ESCAPES.sub("", text)
    lines = [line for part in plain.split("\n") for line in part.rstrip("\r").split("\r")]
    surprises = [
        f"{name}: {next((line for line in lines if pattern.search(line)), '')}"
        for name, pattern in _SURPRISES.items()
        if pattern.search(plain)
    ]
    surprises += [f"{a!r} and {b!r}" for a, b in _CONTRADICTIONS if a in plain and b in plain]
    wide = [line for line in lines if len(line) > columns]
    return surprises + ([f"a line of {len(wide[0])} columns: {wide[0]}"] if wide else [])


def terminal(folder: Path, *command: str, allowed: tuple[int, ...] = (0,)) -> list[str]:
    """Run a command in a terminal of `COLUMNS` columns; return its surprises."""
    program, *arguments = command
    shell = Terminal.start(
        *arguments, program=program, folder=folder, environment=environment(), columns=COLUMNS
    )
    code = shell.wait(MOST)
    if code not in allowed:
        print(shell.text)
        sys.exit(f"{' '.join(command)} ended with code {code}")
    return surprises_in(shell.text)


def environment() -> dict[str, str]:
    """Return the variables of a newcomer: none of kinemill and Dagster."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("KINEMILL", "DAGSTER"))}
    return {**plain, "PATH": f"{BINARIES}:{plain['PATH']}", "COLUMNS": str(COLUMNS)}


def write_logs(folder: Path, scratch: Path, episodes: int, seed: int) -> None:
    """Write logs of a simulated pendulum as a German data logger does: `;`, decimal comma, ms."""
    command = [sys.executable, "-m", "kinemill.control.sim", "pendulum", "--to", str(scratch)]
    options = ["--episodes", str(episodes), "--seconds", "12", "--seed", str(seed)]
    subprocess.run([*command, *options, "--broken", "off"], check=True, cwd=ROOT)
    folder.mkdir(parents=True)
    for number, path in enumerate(sorted(scratch.glob("*.csv"))):
        log = pl.read_csv(path)
        columns = {"Zeit [ms]": log["timestamp"] * 1e3}
        columns |= {UNITS[name]: log[name] * factor for name, factor in FACTORS.items()}
        lines = [";".join(columns)]
        for row in pl.DataFrame(columns).rows():
            lines.append(";".join(f"{value:.6g}".replace(".", ",") for value in row))
        (folder / f"{folder.name}_{number:02}.csv").write_text("\r\n".join(lines) + "\r\n", "utf-8")


def engineer(folder: Path) -> Journey:
    """Play the engineer: from logs to a robot, to MPC, drift, more data and a rollback."""
    journey = Journey("engineer")
    project = folder / "mill"
    logs = folder / "logs"
    write_logs(logs, folder / "raw", 6, seed=0)
    write_logs(folder / "more", folder / "raw_more", 12, seed=1)
    kinemill = str(BINARIES / "kinemill")

    def run(*words: str, allowed: tuple[int, ...] = (0,)) -> list[str]:
        return terminal(project, kinemill, *words, allowed=allowed)

    journey.step("init", lambda: terminal(folder, kinemill, "init", str(project)))
    journey.step("new, from German CSV", lambda: run("new", TASK, "--from", str(logs)))
    journey.step("run", lambda: run("run", TASK, "--logs", str(logs), allowed=(0, 1)))
    journey.step("model why", lambda: run("model", "why", TASK))
    journey.step(
        "model export, with C", lambda: run("model", "export", TASK, "--to", "model", "--c99")
    )
    journey.step("C: compile and run", lambda: _compiled(project))
    journey.step("robot: numpy and onnxruntime alone", lambda: _robot(project))
    task_file = project / "tasks" / f"{TASK}.yaml"
    task_file.write_text(_with_control(task_file.read_text()))
    journey.step("live MPC", lambda: terminal(project, sys.executable, "-c", MPC))
    journey.step("drift", lambda: run("data", "drift", TASK, "--logs", str(folder / "more")))
    more = ("run", TASK, "--logs", str(folder / "more"))
    journey.step("run with more logs", lambda: run(*more, allowed=(0, 1)))
    journey.step("model compare", lambda: run("model", "compare", f"{TASK}:1", "2"))
    journey.step("rollback", lambda: run("model", "rollback", TASK, allowed=(0, 2)))
    return journey


def _with_control(text: str) -> str:
    """Return a task file with limits of the action and an objective."""
    channels = [name.split()[0].lower() for name in UNITS.values()]
    if missing := [name for name in channels if f"{name}:" not in text]:
        sys.exit(f"the draft has no channel {missing}:\n{text}")
    lines = [
        line.replace("observed_range", "limits") if line.strip().startswith("drehmoment") else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + CONTROL


def _compiled(project: Path) -> list[str]:
    """Compile the exported C code with a program that calls it, and run it."""
    (project / "main.c").write_text(PROGRAM)
    build = "cc -std=c99 -Wall -Imodel main.c model/step.c -lm -o arm && ./arm"
    return terminal(project, "sh", "-c", build)


def _robot(project: Path) -> list[str]:
    """Run the exported model in a new environment with two packages."""
    venv.create(project / "robot", with_pip=True)
    python = str(project / "robot" / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    for packages in (("numpy", "onnxruntime"), ("--no-deps", str(ROOT))):
        subprocess.run([*install, *packages], check=True, capture_output=True)
    return terminal(project, python, "-c", ROBOT)


def visitor(folder: Path) -> Journey:
    """Play the user of the browser: draft, create, follow, retrain, compare, decide."""
    journey = Journey("browser")
    project = folder / "web"
    logs = folder / "web_logs"
    write_logs(logs, folder / "raw_web", 6, seed=2)
    write_logs(folder / "more_web", folder / "raw_more_web", 12, seed=3)
    command = [str(BINARIES / "kinemill"), "init", str(project)]
    subprocess.run(command, check=True, cwd=folder, env=environment())
    with servers(project) as urls, browser(folder / "profile") as tab:
        page = _Page(tab, urls["Dagster"])
        journey.step("overview", lambda: page.visit("/"))
        journey.step("new task, upload, draft", lambda: _draft(page, logs))
        journey.step("create starts one run", lambda: _create(page))
        journey.step("the run ends", lambda: _finish(page))
        for name, path in (
            ("versions", f"/kinemill/tasks/{TASK}"),
            ("report", f"/kinemill/tasks/{TASK}/1"),
            ("decision", f"/kinemill/console/versions/{TASK}/1"),
            ("compare", f"/kinemill/console/compare/{TASK}"),
            ("start form", f"/kinemill/console/start/{TASK}"),
            ("recordings", f"/kinemill/console/recordings/{TASK}"),
            ("quarantine", f"/kinemill/console/quarantine/{TASK}"),
            ("overview with a model", "/"),
        ):
            journey.step(name, lambda path=path: page.visit(path))
        journey.step("roll back the only champion", lambda: _roll_back(page))
        journey.step("upload more logs and start", lambda: _retrain(page, folder / "more_web"))
        journey.step("the second run ends", lambda: _finish(page, 2))
        compared = f"/kinemill/console/compare/{TASK}?a=1&b=2"
        journey.step("compare two versions", lambda: page.visit(compared))
        journey.step("promote", lambda: _decide(page, champion=2))
        journey.step("roll back", lambda: _decide(page, champion=1))
    return journey


class _Page:
    """The browser of a visitor, and the checks of each page."""

    def __init__(self, tab: Tab, address: str) -> None:
        self.tab = tab
        self.address = address

    def visit(self, path: str) -> list[str]:
        """Open a page on a screen and on a phone; return its surprises."""
        self.tab.open(f"{self.address}{path}")
        surprises = self.check()
        self.tab.resize(PHONE, 800)
        if self.tab.evaluate("document.documentElement.scrollWidth") > PHONE:
            surprises.append("wider than a phone")
        if path != f"/kinemill/tasks/{TASK}/1":  # wide tables of a report scroll sideways
            surprises += [f"a cut table: {text!r}" for text in self.tab.cut_tables()]
        self.tab.resize(1280, 900)
        return surprises

    def check(self) -> list[str]:
        """Return the surprises of the open page."""
        text = self.tab.evaluate("document.body.innerText")
        surprises = surprises_in(text, 10_000) + self.tab.errors()
        surprises += [f"command {match[0]!r}" for match in _COMMANDS.finditer(text)]
        surprises += self.tab.barriers()
        if not self.tab.evaluate("document.querySelectorAll('nav.site a').length"):
            surprises.append("no navigation")
        return surprises


def _draft(page: _Page, logs: Path) -> list[str]:
    page.tab.open(f"{page.address}/kinemill/console/new")
    surprises = page.check()
    page.tab.evaluate(f"document.querySelector('[name=name]').value = '{TASK}'")
    _upload(page, logs)
    page.tab.wait_for("Conclusions of the draft", 300.0)
    return surprises + page.check()


def _upload(page: _Page, logs: Path) -> None:
    """Submit the form with logs."""
    files = [
        {"name": path.name, "text": path.read_text("utf-8")} for path in sorted(logs.iterdir())
    ]
    page.tab.evaluate(f"""(() => {{
        const input = document.querySelector("[type=file]"), transfer = new DataTransfer();
        const files = {json.dumps(files)};
        for (const {{name, text}} of files) transfer.items.add(new File([text], name));
        input.files = transfer.files;
        input.form.requestSubmit();
    }})()""")


def _create(page: _Page) -> list[str]:
    page.tab.evaluate("document.querySelector('form.draft').requestSubmit()")
    return _started(page, runs=1)


def _retrain(page: _Page, logs: Path) -> list[str]:
    page.tab.open(f"{page.address}/kinemill/console/start/{TASK}")
    _upload(page, logs)
    return _started(page, runs=2)


def _started(page: _Page, runs: int) -> list[str]:
    """Return the surprises of the page of a started run, and a number of runs that differs."""
    page.tab.wait_for("Cancel the run", 120.0)
    surprises = page.check()
    time.sleep(45.0)  # the sensor ticks every 30 s
    listed = page.tab.evaluate("fetch('/api/v1/runs').then((one) => one.json())")["runs"]
    return surprises + ([f"{len(listed)} runs"] if len(listed) != runs else [])


def _finish(page: _Page, version: int = 1) -> list[str]:
    page.tab.wait_for(f"Version {version} and the decision of the gate", MOST)
    return page.check()


def _decide(page: _Page, champion: int) -> list[str]:
    """Promote version 2 or roll it back, unless it is so; the page says who is champion then."""
    page.tab.open(f"{page.address}/kinemill/console/versions/{TASK}/2")
    expected = f"Champion now: version {champion}."
    if expected not in page.tab.evaluate("document.body.innerText"):
        page.tab.evaluate("""(() => {
            const {force, why} = document.querySelector("form.decision").elements;
            if (force) force.checked = true;
            why.value = "on trial";
            why.form.requestSubmit();
        })()""")
        page.tab.wait_for(expected)
    return page.check()


def _roll_back(page: _Page) -> list[str]:
    """Roll back without an earlier champion: the page says why not, and still who is champion."""
    page.tab.open(f"{page.address}/kinemill/console/versions/{TASK}/1")
    page.tab.evaluate("document.querySelector('form.decision button').click()")
    page.tab.wait_for("is the first champion")
    stays = "Champion now: version 1" in page.tab.evaluate("document.body.innerText")
    surprises = [text for text in page.check() if "status of 400" not in text]
    return surprises + ([] if stays else ["another champion"])


def main() -> None:
    """Play both newcomers, or one of them; the table has the last results of each."""
    names = {"engineer": engineer, "browser": visitor}
    arguments = _proof.parser(__doc__, names).parse_args()
    results = _proof.results_folder("first_hour")
    results.mkdir(parents=True, exist_ok=True)
    for name in arguments.row or names:
        folder = Path(tempfile.mkdtemp(prefix="kinemill-first-hour-"))
        publish_json(results / f"{name}.json", names[name](folder).rows)
        shutil.rmtree(folder)
    played = {name: results / f"{name}.json" for name in names}
    rows = {name: read_json(path) for name, path in played.items() if path.is_file()}
    _proof.write("first_hour", table_of(rows))


if __name__ == "__main__":
    main()
