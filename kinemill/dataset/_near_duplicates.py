"""Near-duplicates in a split: on the side of what they repeat, or told where a rule tears them."""

from collections.abc import Iterable

from kinemill.dataset._split import Known, SplitEpisode, unit_of
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task import Dataset, Task
from kinemill.validate.duplicates.registry import twin_groups

SHOWN = 20  # torn groups that are named
REPEATED = 0.1  # share of the rows of a side from which on a person hears of it


def roots_of(task: Task, home: Home, episodes: Iterable[SplitEpisode]) -> dict[str, str]:
    """Return the root of each near-duplicate recording or part; {} if `near_duplicates: apart`.

    These notes are made once, when a recording is judged first, so no episode changes its side.
    """
    return {} if task.dataset.near_duplicates == "apart" else twins_of(task, home, episodes)


def twins_of(task: Task, home: Home, episodes: Iterable[SplitEpisode]) -> dict[str, str]:
    """Return what recordings, or parts of them, are near-duplicates of."""
    groups = twin_groups(home, task.name)
    units = {unit_of(task.dataset, episode) for episode in episodes}
    return {unit: groups[unit] for unit in sorted(units) if unit in groups}


def tell_repeats(rules: Dataset, episodes: Iterable[SplitEpisode], known: Known) -> Json:
    """Return how many near-duplicates were kept together, and which ones a rule put apart.

    Returns:
        `recordings` that repeat another, `torn` groups on more than one of training, validation and
        test, and the first of these as `{"split": names}` under `shown`.
    """
    groups: dict[str, dict[str, dict[str, None]]] = {}
    for episode in episodes:
        unit = unit_of(rules, episode)
        sides = groups.setdefault(known.twins.get(unit, known.roots.get(unit, unit)), {})
        if (side := known.side(rules, episode)) != "unused":
            sides.setdefault(side, {})[episode.name] = None
    torn = [sides for sides in groups.values() if len(sides) > 1]
    shown = [{side: sorted(names) for side, names in sides.items()} for sides in torn[:SHOWN]]
    return {"recordings": len(known.roots), "torn": len(torn), "shown": shown}


def warnings(summary: Json) -> list[str]:
    """Return what a person should hear about a version, from its summary."""
    told = [f"dataset.{pattern} matches nothing" for pattern in summary.get("unmatched", [])]
    told += summary.get("coarse", [])
    repeats = summary.get("repeats", {"torn": 0, "shown": []})
    for sides in repeats["shown"]:
        spelled = "; ".join(f"{side}: {', '.join(names[:3])}" for side, names in sides.items())
        told.append(f"near-duplicates are on different sides, so errors look too small ({spelled})")
    if repeats["torn"] > len(repeats["shown"]):
        told.append(f"{repeats['torn'] - len(repeats['shown'])} more near-duplicates are torn")
    for side, shares in summary.get("independence", {}).items():
        # Where whole recordings are apart, the lines above name them already.
        if shares["near_duplicates"] >= REPEATED and not repeats["torn"]:
            told.append(
                f"about {shares['near_duplicates']:.0%} of the {side} rows are of recordings with "
                "a near-duplicate in training, so errors look too small; take other recordings"
            )
        if shares["repeated"] >= REPEATED:
            told.append(
                f"about {shares['repeated']:.0%} of the {side} rows return in training rows of the "
                "same recording, so errors look too small; take whole recordings"
            )
    return told
