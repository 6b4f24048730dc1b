"""Check of a draft with the logs that it was made from, before the first training.

If a check rejects many of these logs, or most of their rows, the cause is the robot or a mistake of
the draft, not a fault of a log, and the check becomes a warning. Findings in fewer logs are faults
of these logs, and are reported.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from kinemill.dataset.dry_run import dataset_problem
from kinemill.draft.constants import CHECK_FEWEST, CHECK_LEAST, CHECK_MANY, CHECK_MOST, CHECK_ROUNDS
from kinemill.draft.logs import log_names
from kinemill.draft.task_draft_writer import IN_BLOCKS, Draft, LearnPart, pattern_of, write_task
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task import CHECKS, Task, load_task
from kinemill.validate.dry_run import AcceptedEpisode, dry_run_log


@dataclass(frozen=True)
class CheckedDraft:
    """A draft, its text, its task, and what `kinemill data check` would report of its logs.

    Attributes:
        draft: the draft.
        text: its task file.
        task: the task.
        entries: one entry for each log, as in `kinemill data check --json`.
        problem: why no model can be trained on the logs; empty if one can.
    """

    draft: Draft
    text: str
    task: Task
    entries: list[Json]
    problem: str

    @property
    def refused(self) -> list[Json]:
        """Logs of the draft without any accepted episode."""
        return [entry for entry in self.entries if not entry["episodes"]]

    @property
    def cut(self) -> list[Json]:
        """Logs of the draft that lose rows."""
        return [entry for entry in self.entries if entry["episodes"] and entry["dropped_rows"]]


def check_draft(draft: Draft) -> CheckedDraft:
    """Check the logs of a draft, and turn checks that reject many of them into warnings.

    If the logs do not suffice for the split of the draft, other splits are tried.
    """
    checked = _check(draft)
    for _ in range(CHECK_ROUNDS):
        if not (to_relax := _checks_to_relax(checked)):
            break
        checked = _check(replace(checked.draft, warned={**checked.draft.warned, **to_relax}))
    if not checked.problem:
        return checked
    alternatives = (_check(replace(checked.draft, part=part)) for part in _splits(checked))
    return next((alternative for alternative in alternatives if not alternative.problem), checked)


def _splits(checked: CheckedDraft) -> list[LearnPart]:
    """Return splits that test a log with accepted episodes, and validate on blocks or on another.

    Blocks of short episodes are too short; whole logs are not.
    """
    draft = checked.draft
    logs = zip(log_names(draft.logs).values(), checked.entries, strict=True)
    accepted = [pattern_of(name) for name, entry in logs if entry["episodes"]]
    if (
        draft.part.dataset
        or draft.experiments
        or len(accepted) < CHECK_FEWEST
        or len(draft.logs) == 1
    ):
        return []
    *_, validation, test = accepted
    shares = (IN_BLOCKS, f"[{validation}]")
    splits = (
        f"dataset: {{validation: {share}, test: [{test}]}}  # name your own" for share in shares
    )
    return [replace(draft.part, dataset=split) for split in splits]


def _check(draft: Draft) -> CheckedDraft:
    text = write_task(draft)
    with TemporaryDirectory(prefix="kinemill-draft-") as folder:
        path = Path(folder) / f"{draft.name}.yaml"
        path.write_text(text, encoding="utf-8")
        task = load_task(path)
        home = Home(Path(folder) / "home")
        accepted = list[AcceptedEpisode]()
        names = log_names(draft.logs)
        entries = [dry_run_log(task, home, log, name, accepted) for log, name in names.items()]
        problem = dataset_problem(task, home, accepted, split=len(names) > 1) if accepted else ""
        problem = problem.removeprefix(f"{path}: ")
    return CheckedDraft(draft, text, task, entries, problem)


def _checks_to_relax(checked: CheckedDraft) -> dict[str, str]:
    """Return the checks that refuse many logs, with the number of logs."""
    counted = Counter(check for entry in checked.entries if (check := _refusal(entry)))
    n_logs = len(checked.entries)
    return {
        check: f"it would refuse {count} of {n_logs} of these logs, whole or most of their rows"
        for check, count in counted.items()
        if count > CHECK_MANY * n_logs
        and count >= min(CHECK_LEAST, n_logs)
        and check not in checked.draft.warned
    }


def _refusal(entry: Json) -> str | None:
    """Return the check that drops the most rows of a log, if it loses most of them by it."""
    dropped = {check: n for check, n in entry["dropped"].items() if check in CHECKS}
    if not dropped:
        return None
    check = max(dropped, key=lambda reason: dropped[reason])
    lost = dropped[check] >= CHECK_MOST * (entry["rows"] + entry["dropped_rows"])
    return check if lost or not entry["episodes"] else None
