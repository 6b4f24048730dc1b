"""Rounds of the learning loop in the registry: the policy that collects, and the new version.

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
    is_reached,
    total_steps,
)
from kinemill.control.loop_report import loop_page
from kinemill.control.physics import control_of
from kinemill.control.policies import plain_policy
from kinemill.register.versions import Version, bundle_folder, find_version
from kinemill.store import Home, publish_file
from kinemill.task import Task
from kinemill.verify.document import Verification, read_verification
from kinemill.verify.effects import ADVICE
from kinemill.verify.results import CalibrationCurves

REPORT = "loop.html"


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
        successes=closed.successes if closed else 0,
        trials=len(closed.episodes) if closed else 0,
        nrmse=version.metrics.nrmse.get("model"),
        coverage=coverage_of(calibration) if calibration else None,
        wall=0.0,
        cpu=0.0,
        hint=_hint(verification),
    )


def _hint(verification: Verification) -> str:
    """Return advice about contacts with end stops, which more episodes do not cure."""
    for cause in verification.unmodeled:
        if cause.effect == "end_stop":
            explained, fix = ADVICE[cause.effect]
            return f"{explained}: {cause.share:.0%} of the squared errors of {cause.channel}; {fix}"
    return ""


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
    report(
        f"round {record.number}: version {record.version}, {good} of {trials} {of} succeed, "
        f"{record.steps} steps"
    )
    if record.hint and not is_reached(task, rounds):
        report(f"round {record.number}: {record.hint}")


def make_policy(task: Task, address: str | None) -> tuple[str, Policy]:
    """Return name and policy that collects episodes: a planner on a model, or random actions."""
    if address is None:
        return "random", plain_policy(task, "random")
    model = learned_model(task, address, wait=True)
    return control_of(task).controller.type, make_planner(task, [model])
