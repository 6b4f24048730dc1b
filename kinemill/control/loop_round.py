"""Rounds of the learning loop in the registry: policy, new version, and the report page.

The journal is that of `control.learning_loop`.
"""

from collections.abc import Sequence

import numpy as np

from kinemill.control import Policy, learned_model, make_planner
from kinemill.control.learning_loop import (
    FOLDER,
    EpisodeRecord,
    Journal,
    Report,
    RoundRecord,
    total_steps,
)
from kinemill.control.physics import control_of
from kinemill.control.policies import plain_policy
from kinemill.register.versions import Version, bundle_folder, find_version
from kinemill.reports.charts import Line, axis_label, line_chart
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.store import Home, publish_file
from kinemill.task import Task
from kinemill.verify.document import Verification, read_verification
from kinemill.verify.results import CalibrationCurves

REPORT = "loop.html"
_SIZE = (700, 260)  # px


def journal_of(task: Task, home: Home) -> Journal:
    """Return the journal of the loop of a task."""
    return Journal(home.root / FOLDER / task.name)


def registered(home: Home, task: str, number: int) -> tuple[Version, Verification]:
    """Return a version of a task with its verification."""
    version = find_version(home, task, f":{number}")
    return version, read_verification(bundle_folder(home, version))


def round_record(
    rounds: Sequence[RoundRecord],
    episodes: list[EpisodeRecord],
    version: Version,
    verification: Verification,
) -> RoundRecord:
    """Return the record of the round after `rounds`, with the version that it registered."""
    closed = verification.closed_loop
    analysis = verification.analysis
    calibration = analysis.calibration if analysis else None
    return RoundRecord(
        number=len(rounds),
        episodes=episodes,
        steps=total_steps(rounds, episodes),
        version=version.number,
        alias=next(iter(version.aliases), None),
        gate=[verdict.rule for verdict in version.gate if not verdict.passed],
        successes=(closed.successes if closed else None) or 0,
        trials=len(closed.episodes) if closed and closed.successes is not None else 0,
        nrmse=version.metrics.nrmse.get("model"),
        coverage=coverage_of(calibration) if calibration else None,
        wall=0.0,
        cpu=0.0,
    )


def coverage_of(calibration: CalibrationCurves) -> float:
    """Return the share of states in the 90 % intervals, averaged over channels and steps."""
    return float(np.mean(list(calibration.coverage["0.9"].values())))


def finish_round(task: Task, home: Home, record: RoundRecord, report: Report) -> None:
    """Record a round, and publish the report page of the loop."""
    journal = journal_of(task, home)
    journal.finish(record)
    rounds = journal.rounds()
    publish_file(journal.folder / REPORT, loop_page(task, rounds).encode())
    good, trials = record.success_counts
    of = "trials" if record.trials else "collected episodes"
    succeed = f"{good} of {trials} {of} succeed, " if trials else ""
    report(f"round {record.number}: version {record.version}, {succeed}{record.steps} steps")


def make_policy(task: Task, address: str | None) -> tuple[str, Policy]:
    """Return name and policy that collects episodes: a planner on a model, or random actions."""
    if address is None:
        return "random", plain_policy(task, "random")
    model = learned_model(task, address, wait=True)
    return control_of(task).controller.type, make_planner(task, [model])


def loop_page(task: Task, rounds: Sequence[RoundRecord]) -> str:
    """Return the page as one self-contained HTML document.

    Args:
        task: task with a `loop` part.
        rounds: the finished rounds, at least one.
    """
    body = render("control/loop.html.j2", task=task, rounds=rounds, curves=_curves(task, rounds))
    return html_page(f"{task.name}: learning loop", [body])


def _curves(task: Task, rounds: Sequence[RoundRecord]) -> dict[str, str]:
    """Return charts over the seconds of the robot by name."""
    seconds = np.array([record.steps * task.dt for record in rounds])
    counts = [record.success_counts for record in rounds]
    curves = {
        "share of successes": [good / trials if trials else None for good, trials in counts],
        "error on test episodes, nrmse": [record.nrmse for record in rounds],
        "test states in the 90 % intervals": [record.coverage for record in rounds],
    }
    charts = dict[str, str]()
    for name, numbers in curves.items():
        values = np.array(numbers, dtype=np.float64)
        labels = (axis_label("robot", "s"), axis_label(name, ""))
        if np.isfinite(values).any() or "nrmse" in name:
            y = None if "nrmse" in name else (0.0, 1.0)
            line = Line(name, "model", seconds, values)
            charts[name] = line_chart([line], labels=labels, size=_SIZE, y=y)
    return charts
