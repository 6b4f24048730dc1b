"""Fill a split to which the shares give too few recordings, and store the assignment.

A share selects recordings by their hash alone, so it can select none of few recordings, or fewer
test recordings than the gate needs. Then the recordings are ranked by hash, and the first ones that
no earlier dataset version used fill the split. No rule on the present recordings alone can fill
every split and also never move a recording. The assignments are therefore stored, one file each,
below `store/versions/TASK/assigned/RULES/`; files are added and never changed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from kinemill.dataset.catalog import Version, dataset_versions
from kinemill.dataset.listing import scan_listing
from kinemill.dataset.split import SplitContext, SplitEpisode, named_side, position
from kinemill.store import digest, from_json_value, read_json, to_json_value
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.json_io import publish_shared
from kinemill.store.locks import lock
from kinemill.store.remote_sync import bring_new
from kinemill.task import Dataset, Task

FORMAT = Format("assigned side", 1)
# Settings that decide about the split.
_RULES = ("group_by", "near_duplicates", "test", "unused", "validation")
_SHARES = ("test", "validation")
# Fewest test recordings, where there are twice as many: what the gate needs for a champion that is
# not provisional (`promote.min_test_episodes`). A share of 0.2 of 20 gives fewer in 63 % of cases.
FEWEST_TESTS = 5


@dataclass(frozen=True)
class Assignment:
    """A stored assignment of a unit (recording, part or session) to a split."""

    unit: str
    side: str


def assign_sides(
    task: Task, home: Home, episodes: Sequence[SplitEpisode], context: SplitContext
) -> SplitContext:
    """Return `context` with all assignments under the task's rules; store new ones."""
    rules = task.dataset
    if not _has_share(rules):
        return context
    with lock(home, f"splits-{task.name}"):
        assigned = known_sides(task, home)
        context = replace(context, assigned=assigned)
        splits = {context.key(rules, item): context.side(rules, item) for item in episodes}
        if not short_sides(rules, splits.values()):
            return context
        new = fill_sides(rules, episodes, context, used_recordings(home, task))
        for unit, side in new.items():
            entry = FORMAT.stamp(to_json_value(Assignment(unit, side)))
            publish_shared(home, _folder(home, task) / f"{digest(unit)[:32]}.json", entry)
    return replace(context, assigned={**assigned, **new})


def _has_share(rules: Dataset) -> bool:
    return any(isinstance(getattr(rules, side), float) for side in _SHARES)


def known_sides(task: Task, home: Home) -> dict[str, str]:
    """Return `stored_sides` after those of other machines are fetched; none without a share."""
    if not _has_share(task.dataset):
        return {}
    bring_new(home, _folder(home, task))
    return stored_sides(task, home)


def stored_sides(task: Task, home: Home) -> dict[str, str]:
    """Return the split of each unit that was assigned under the task's rules."""
    entries = [
        from_json_value(FORMAT.open(path, read_json(path)), Assignment, path)
        for path in sorted(_folder(home, task).glob("*.json"))
    ]
    return {entry.unit: entry.side for entry in entries}


def _folder(home: Home, task: Task) -> Path:
    return home.store / "versions" / task.name / "assigned" / _rules_digest(task)[:16]


def fill_sides(
    rules: Dataset,
    episodes: Iterable[SplitEpisode],
    context: SplitContext,
    used: Set[str] = frozenset(),
) -> dict[str, str]:
    """Return a split for each unit (recording, part or session) that fills a short one.

    Recordings in `used` never change their split.
    """
    listed = list(episodes)
    free = [episode for episode in listed if _is_free(rules, episode, context)]
    splits = {context.key(rules, episode): context.side(rules, episode) for episode in listed}
    current = {unit: splits[unit] for unit in (context.key(rules, episode) for episode in free)}
    fixed = {context.key(rules, episode) for episode in listed if episode.recording in used}
    new: dict[str, str] = {}
    needed = needed_units(rules, len(splits))
    for side in short_sides(rules, splits.values()):
        count = Counter(current.values())
        # From the largest split, whose share changes least; equal ones in the order of their hash.
        ranked = sorted(
            (
                unit
                for unit, present in current.items()
                if count[present] > needed.get(present, 0) and present != side and unit not in fixed
            ),
            key=lambda unit: (-count[current[unit]], position(unit)),
        )
        if ranked:
            new[ranked[0]] = current[ranked[0]] = side
    return new


def _is_free(rules: Dataset, episode: SplitEpisode, context: SplitContext) -> bool:
    """Return whether a share decides about the split of an episode."""
    group = context.groups.get(episode.recording)
    named = named_side(rules, episode.name, group, episode.part)
    assigned = context.key(rules, episode) in context.assigned
    return named is None and not assigned and episode.id not in context.training


def short_sides(rules: Dataset, splits: Iterable[str]) -> list[str]:
    """Return the splits that lack units, once for each; `splits` are those of the present units."""
    present = Counter(splits)
    needed = needed_units(rules, present.total())
    return [side for side, least in needed.items() for _ in range(least - present[side])]


def needed_units(rules: Dataset, units: int) -> dict[str, int]:
    """Return the fewest units by split: one where a share decides, and of the test split more.

    It needs `FEWEST_TESTS` where there are twice as many units.
    """
    needed = {side: 1 for side in _SHARES if isinstance(getattr(rules, side), float)} | {"train": 1}
    if "test" in needed and units >= 2 * FEWEST_TESTS:
        needed["test"] = FEWEST_TESTS
    return needed


def used_recordings(home: Home, task: Task) -> set[str]:
    """Return the recordings of the readable versions under the same rules.

    The newest one has all of them, unless `dataset.where` selected others from version to version.
    """
    expected = _rules_digest(task)
    used = set[str]()
    for version in dataset_versions(home, task.name):
        if version.status(home) == "ready" and _version_rules_digest(home, version) == expected:
            listing = scan_listing(version.folder(home)).select("recording").unique().collect()
            used.update(listing["recording"])
            if task.dataset.where is None:
                break
    return used


def _version_rules_digest(home: Home, version: Version) -> str:
    return digest(_split_rules(version.rules(home)["dataset"]))


def _rules_digest(task: Task) -> str:
    return digest(_split_rules(task.dataset.model_dump(mode="json", by_alias=True)))


def _split_rules(rules: Mapping[str, object]) -> dict[str, object]:
    return {key: rules[key] for key in _RULES if key in rules}
