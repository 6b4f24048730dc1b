"""All shards of a task's episodes, described together: checks, quarantine, page, summary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinemill.home import Home
from kinemill.spec import Task
from kinemill.store import Ref, summary_of, write_json
from kinemill.validate import merging, page
from kinemill.validate.judged import read_judged
from kinemill.validate.noting import Repeats

CHECKS, QUARANTINE = "checks.json", "quarantine.json"
QUARANTINED = 200  # recordings listed with their reasons

Json = dict[str, Any]


def describe(task: Task, home: Home, folder: Path, shards: list[Json], repeats: Repeats) -> Json:
    """Write checks, quarantine and page over all shards; return the summary."""
    parts = [summary_of(home, Ref.from_json(shard["ref"])) for shard in shards]
    counts = merging.counted(parts)
    checks = merging.checks_of(task, parts, counts, repeats)
    shown = list(_faulty_first(home, shards, QUARANTINED))
    write_json(folder / CHECKS, [check.to_json() for check in checks])
    quarantined = [item for item in shown if not item["episodes"]]
    write_json(folder / QUARANTINE, [_with_reasons(item) for item in quarantined])
    answers = [
        {"name": check.name, "passed": check.passed, "blocking": check.blocking} for check in checks
    ]
    summary = {**counts, "checks": answers}
    drawn = [page.Drawn(_with_reasons(item), item["strip"]) for item in shown]
    bars = [part["ranges"] for part in parts]
    (folder / "page.html").write_text(page.render(task, summary, checks, bars, drawn))
    return summary


def _faulty_first(home: Home, shards: list[Json], most: int) -> Iterator[Json]:
    """Yield judged recordings, at most so many: those with reasons first, then some others."""
    left, sound = most, list[Json]()
    for shard in sorted(shards, key=lambda item: not item["faulty"]):
        if left <= 0 or (not shard["faulty"] and len(sound) >= left):
            break
        for item in read_judged(home, Ref.from_json(shard["ref"])):
            if item["reasons"] and left > 0:
                left -= 1
                yield item
            elif not item["reasons"] and len(sound) < most:
                sound.append(item)
    yield from sound[: max(left, 0)]


def _with_reasons(item: Json) -> Json:
    return {key: item[key] for key in ("recording", "name", "reasons")}
