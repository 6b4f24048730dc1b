"""Manual decisions: approve a version, record its trials on a robot, promote one, roll back.

Each function looks up the champion first and moves the alias by compare-and-set; a concurrent
change raises `ChampionChanged`. A new champion has to load and predict in the serving runtime.
"""

from dataclasses import replace

from kinemill.dataset import find_version as find_dataset
from kinemill.errors import BadInput, Blocked, CorruptArtifact
from kinemill.register import tags
from kinemill.register.alias_switch import apply_decision, follow, guarded
from kinemill.register.audit_log import CHAMPION_CHANGES, PROMOTED, TRIALS, Event, read_events
from kinemill.register.champion_change import ChampionChange
from kinemill.register.decision_service import decide, serves
from kinemill.register.gate.evaluation import differences, make_measurements
from kinemill.register.gate.inputs import Measurements
from kinemill.register.robot_trials import check_counts, trials_of
from kinemill.register.saved_task import task_of
from kinemill.register.versions import (
    CHAMPION,
    Version,
    aliases_of,
    bundle_folder,
    find_version,
    no_version,
    versions_of,
)
from kinemill.runtime import load
from kinemill.runtime.download import run_stored_cases
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.tracking import Tracking, open_tracking

_LOOK_UP = -1  # expected champion: the champion at the time of the call


def approve(
    task: Task,
    home: Home,
    which: str,
    *,
    breaking: bool = False,
    why: str = "",
    evidence: Measurements | None = None,
) -> ChampionChange:
    """Record an approval of a version, and evaluate the gate again.

    The gate uses the task that the version was made with, overrides included.

    Args:
        task: task of the version.
        home: home with the registry.
        which: `:number` or `@alias`.
        breaking: approve an interface that differs from the champion's.
        why: reason for the audit trail.
        evidence: measurements for the gate; default: the test split of the version's dataset.

    Returns:
        The version with its new decision, and the previous champion.

    Raises:
        BadInput: The version does not exist, or it passed the gate before.
    """
    with guarded(home, task.name):
        version = find_version(home, task.name, which)
        if version.decision == CHAMPION:
            raise BadInput(version.name, "passed the gate before", fix="no approval is needed")
        champion = aliases_of(home, task.name).get(CHAMPION)
        what = "approved as breaking" if breaking else "approved"
        event = Event.of(what, version.number, champion, why)
        return _decide_again(task, home, version, event, evidence)


def record_trials(
    task: Task,
    home: Home,
    which: str,
    successes: int,
    of: int,
    *,
    note: str = "",
    evidence: Measurements | None = None,
) -> ChampionChange:
    """Record counted trials of a version on a robot, and evaluate the gate again.

    The last record of a version counts: after further trials, record the new total. The decision
    stays as it is for a version that is neither champion nor challenger, and where neither
    `promote.min_success` nor trials of the champion compare the counts.

    Args:
        task: task of the version.
        home: home with the registry.
        which: `:number` or `@alias`.
        successes: number of successful trials.
        of: number of trials.
        note: text for the audit log, such as the place and the robot.
        evidence: measurements for the gate; default: the test split of the version's dataset.

    Raises:
        BadInput: The version does not exist, or the counts are impossible.
    """
    check_counts(successes, of)
    with guarded(home, task.name):
        version = find_version(home, task.name, which)
        champion = aliases_of(home, task.name).get(CHAMPION)
        event = Event.of(TRIALS, version.number, champion, note)
        event = replace(event, successes=successes, trials=of)
        return _decide_again(task, home, version, event, evidence)


def _decide_again(
    task: Task, home: Home, version: Version, event: Event, evidence: Measurements | None
) -> ChampionChange:
    """Record an approval or trials of a version, and evaluate the gate again if they count."""
    version.require(tags.BUNDLE)
    tracking = open_tracking(home)
    apply_decision(tracking, task.name, event)
    made_with = task_of(home, task, version)
    opponent = None if event.previous == version.number else event.previous
    compares_trials = made_with.promote.min_success is not None or trials_of(
        opponent, read_events(home, task.name)
    )
    if event.what != TRIALS or (version.aliases and compares_trials):
        decide(tracking, made_with, version, evidence or _evidence(made_with, home, version))
    return ChampionChange.of(find_version(home, task.name, f":{version.number}"), opponent)


def promote(
    task: Task,
    home: Home,
    which: str,
    *,
    expected: int | None = _LOOK_UP,
    force: bool = False,
    why: str = "",
) -> ChampionChange:
    """Make a version champion that passed the gate, or any version with `force`.

    Args:
        task: the task.
        home: home with the registry.
        which: `:number` or `@alias`.
        expected: champion to replace; default: the current one.
        force: allow a version that the gate refused; needs `why`.
        why: reason for the audit trail.

    Raises:
        BadInput: The version does not exist, it was refused, or `why` is missing.
        Blocked: The version does not load or predict.
        ChampionChanged: Another version became champion since the lookup.
    """
    if expected == _LOOK_UP:
        expected = aliases_of(home, task.name).get(CHAMPION)
    version = find_version(home, task.name, which)
    if version.decision != CHAMPION and not force:
        refused = ", ".join(line.rule for line in version.gate if not line.passed)
        problem = f"the gate refused it: {refused}" if refused else "the gate has not evaluated it"
        fix = f"kinemill model why {task.name}:{version.number}; --force --why REASON overrides it"
        raise BadInput(version.name, problem, expected="a version that passed the gate", fix=fix)
    if force and not why:
        raise BadInput("--force", "overrides the gate", expected="a reason: --why TEXT")
    event = Event.of("promoted", version.number, expected, f"by force: {why}" if force else why)
    return _move(task, open_tracking(home), version, event)


def rollback(
    task: Task, home: Home, to: str = "", *, expected: int | None = _LOOK_UP, why: str = ""
) -> ChampionChange:
    """Roll back to the previous champion, or to the version that `to` names.

    Args:
        task: the task.
        home: home with the registry.
        to: `:number` of a version that was champion or passed the gate; default: the champion that
            the current one replaced.
        expected: champion to replace; default: the current one.
        why: reason for the audit trail.

    Raises:
        BadInput: The task has had no previous champion, or the version does not exist or was
            refused and never champion.
        Blocked: The version does not load or predict.
        ChampionChanged: Another version became champion since the lookup.
    """
    versions = versions_of(home, task.name)
    if not versions:
        raise no_version(home, task.name)
    if expected == _LOOK_UP:
        expected = aliases_of(home, task.name).get(CHAMPION)
    existing = {version.number for version in versions if version.decision}
    which = to or f":{_previous_champion(home, task.name, expected, existing)}"
    version = find_version(home, task.name, which)
    if version.decision is None:
        fix = "select another: --to NUMBER"
        raise BadInput(version.name, "the gate has not evaluated it", fix=fix)
    if version.decision != CHAMPION and version.number not in _champions(home, task.name):
        fix = f"kinemill model promote {task.name}:{version.number} --force --why REASON"
        raise BadInput(version.name, "was never champion, and did not pass the gate", fix=fix)
    event = Event.of("rolled back", version.number, expected, why)
    return _move(task, open_tracking(home), version, event)


def _champions(home: Home, task: str) -> set[int | None]:
    """Return the versions that are or were champion, as the audit log recorded them."""
    events = follow(home, task)
    return {
        event.version
        for event in events
        if event.what in CHAMPION_CHANGES and event.status == "done"
    }


def _previous_champion(home: Home, task: str, champion: int | None, existing: set[int]) -> int:
    """Return the champion before the current one that exists; the last one if there is none now."""
    replaced = dict[int, int]()
    last = 0
    for event in follow(home, task):
        if event.what in CHAMPION_CHANGES and event.status == "done" and event.version:
            previous = event.previous or last  # the alias can have been deleted in between
            if event.what in PROMOTED and previous not in (0, event.version):
                replaced[event.version] = previous
            last = event.version
    if champion is None and not last:
        raise BadInput(task, "has had no champion", fix=f"kinemill run {task}")
    number = champion or last
    skipped = {champion}
    while number in skipped or number not in existing:  # skip versions that were deleted in MLflow
        skipped.add(number)
        number = replaced.get(number, 0)
        if number == 0 or number in skipped:
            raise BadInput(
                f"models:/{task}/{champion}" if champion else task,
                "is the first champion that exists" if champion else "no earlier champion exists",
                fix=f"kinemill model rollback {task} --to NUMBER",
            )
    return number


def _move(task: Task, tracking: Tracking, version: Version, event: Event) -> ChampionChange:
    """Smoke-test the version, then move the alias if the champion is still the expected one."""
    if CHAMPION in version.aliases:
        raise BadInput(version.name, "is champion already")
    is_served, text = serves(tracking, version, run_stored_cases)
    if not is_served:
        raise Blocked(
            version.name,
            f"{text}; the champion stays",
            expected="a model that loads and predicts",
            fix=f"kinemill model list {task.name} lists others",
        )
    apply_decision(tracking, task.name, event)
    moved = find_version(tracking.home, task.name, f":{version.number}")
    return ChampionChange.of(moved, event.previous, _differs(tracking, moved, event.previous))


def _differs(tracking: Tracking, version: Version, previous: int | None) -> list[str]:
    """Return the interface differences between the new champion and the previous one."""
    if previous is None:
        return []
    try:
        earlier = find_version(tracking.home, version.task, f":{previous}")
        old, new = (
            load(bundle_folder(tracking.home, item)).interface for item in (earlier, version)
        )
    except (BadInput, CorruptArtifact) as error:
        return [f"the interfaces could not be compared: {error}"]
    text = differences(old, new)
    return [
        line.replace("of the champion", f"of version {previous}").replace(
            "of the challenger", f"of version {version.number}"
        )
        for line in text
    ]


def _evidence(task: Task, home: Home, version: Version) -> Measurements:
    dataset = find_dataset(home, task.name, version.require(tags.DATASET))
    return make_measurements(task, home, dataset.ref)
