"""Assign a recording to a side that a share selects none for, and keep that assignment.

A share selects recordings by their hash alone, so with few recordings it can select none. Then the
recordings are ranked by their hash, and the first one that no earlier dataset version used gets
the empty side. No rule that looks at the present recordings alone can give every side a recording
and also never move one. The assignments are therefore stored, one file each, below
`store/versions/TASK/assigned/RULES/`: they are added to, and never changed or removed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from pathlib import Path

from kinemill.dataset._listing import scan_listing
from kinemill.dataset._split import Known, SplitEpisode, named_side, position
from kinemill.dataset._versions import Version, versions
from kinemill.store import digest, read_json
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.json_io import publish_shared
from kinemill.store.locks import lock
from kinemill.store.remote_sync import bring_new
from kinemill.task import Dataset, Task

FORMAT = Format("assigned side", 1)
_RULES = (
    "group_by",
    "near_duplicates",
    "test",
    "unused",
    "validation",
)  # keys that decide where recordings go
_SHARES = ("test", "validation")


def assign_sides(task: Task, home: Home, episodes: Iterable[SplitEpisode], known: Known) -> Known:
    """Return `known` with the assignments of the task's rules, new ones stored.

    Args:
        task: whose `dataset` part states the shares.
        home: where the assignments are stored.
        episodes: all accepted episodes.
        known: which episodes stay together.
    """
    rules = task.dataset
    if not any(isinstance(getattr(rules, side), float) for side in _SHARES):
        return known
    listed = list(episodes)
    with lock(home, f"sides-{task.name}"):
        bring_new(home, folder := _folder(home, task))
        assigned = stored_sides(task, home)
        known = replace(known, assigned=assigned)
        empty = _empty_sides(rules, listed, known)
        new = fill_sides(rules, listed, known, used_recordings(home, task) if empty else set())
        for unit, side in new.items():
            entry = FORMAT.stamp({"unit": unit, "side": side})
            publish_shared(home, folder / f"{digest(unit)[:32]}.json", entry)
    return replace(known, assigned={**assigned, **new})


def stored_sides(task: Task, home: Home) -> dict[str, str]:
    """Return the side of each unit that was assigned under the task's rules."""
    paths = sorted(_folder(home, task).glob("*.json"))
    found = [FORMAT.open(path, read_json(path)) for path in paths]
    return {entry["unit"]: entry["side"] for entry in found}


def _folder(home: Home, task: Task) -> Path:
    return home.store / "versions" / task.name / "assigned" / _digest_of(task.dataset)[:16]


def fill_sides(
    rules: Dataset, episodes: Iterable[SplitEpisode], known: Known, used: Set[str] = frozenset()
) -> dict[str, str]:
    """Return the side of each unit (recording, part or session) that has to fill an empty one.

    Args:
        rules: the task's `dataset` part.
        episodes: all accepted episodes.
        known: which episodes stay together, and earlier assignments.
        used: recordings of earlier versions; none of them changes its side.
    """
    listed = list(episodes)
    free = [one for one in listed if _free(rules, one, known)]
    sides = {known.key(rules, one): known.side(rules, one) for one in free}
    fixed = {known.key(rules, one) for one in listed if one.recording in used}
    new: dict[str, str] = {}
    for side in _empty_sides(rules, listed, known):
        count = Counter(sides.values())
        ranked = sorted(
            (unit for unit, own in sides.items() if count[own] > 1 and unit not in fixed),
            key=lambda unit: (-count[sides[unit]], position(unit)),
        )
        if ranked:
            new[ranked[0]] = sides[ranked[0]] = side
    return new


def _free(rules: Dataset, episode: SplitEpisode, known: Known) -> bool:
    """Return whether a share decides the side of an episode."""
    group = known.groups.get(episode.recording)
    named = named_side(rules, episode.name, group, episode.part)
    assigned = known.key(rules, episode) in known.assigned
    return named is None and not assigned and episode.id not in known.training


def _empty_sides(rules: Dataset, episodes: Iterable[SplitEpisode], known: Known) -> list[str]:
    """Return the sides without an episode that shares decide about, training included."""
    shares = [side for side in _SHARES if isinstance(getattr(rules, side), float)]
    present = {known.side(rules, one) for one in episodes}
    return [side for side in (*shares, "train") if side not in present]


def used_recordings(home: Home, task: Task) -> set[str]:
    """Return the recordings of the newest version under the same rules whose list can be read."""
    wanted = _digest_of(task.dataset)
    for version in versions(home, task.name):
        if version.status(home) == "ready" and _rules_of(home, version) == wanted:
            listing = scan_listing(version.folder(home)).select("recording").collect()
            return set(listing["recording"].to_list())
    return set()


def _rules_of(home: Home, version: Version) -> str:
    return digest(_chosen(version.rules(home)["dataset"]))


def _digest_of(rules: Dataset) -> str:
    return digest(_chosen(rules.model_dump(mode="json", by_alias=True)))


def _chosen(rules: Mapping[str, object]) -> dict[str, object]:
    return {key: rules[key] for key in _RULES}
