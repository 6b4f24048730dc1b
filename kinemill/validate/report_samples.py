"""The recordings that are shown with their reasons and drawn: some of the faulty ones, and others.

Which ones follows from their hashes alone, so that parts of a set choose without each other.
"""

from collections.abc import Iterable
from typing import Any

FAULTY, SOUND = 100, 60  # recordings shown: with reasons, and without
_OF_SIXTEEN = 16, 4  # that one of sixteen parts keeps; hashes spread the faulty ones evenly
REASONS = 8  # of one recording that are spelled out
TRACKS = 100  # of one recording that are drawn

Json = dict[str, Any]


def gather(evaluated: Iterable[Json]) -> Json:
    """Return which of judged recordings are shown.

    Args:
        evaluated: the recordings, sorted by hash.

    Returns:
        `faulty` and `sound`: lists of `{"recording", "name", "episodes", "reasons", "more",
        "strip"}`; `episodes` is their number, `more` that of the reasons left out.
    """
    faulty, sound = list[Json](), list[Json]()
    for item in evaluated:
        if item["reasons"] and len(faulty) < FAULTY:
            faulty.append(_sample(item))
        elif not item["reasons"] and len(sound) < SOUND:
            sound.append(_sample(item))
    return {"faulty": faulty, "sound": sound}


def _sample(item: Json) -> Json:
    return {
        "recording": item["recording"],
        "name": item["name"],
        "episodes": len(item["episodes"]),
        "reasons": item["reasons"][:REASONS],
        "more": max(0, len(item["reasons"]) - REASONS),
        "strip": item["strip"][:TRACKS],
    }


def merge_parts(parts: Iterable[Json]) -> Json:
    """Return what several parts show, which are in the order of hashes."""
    every = list(parts)
    return {
        "faulty": [item for part in every for item in part["faulty"]][:FAULTY],
        "sound": [item for part in every for item in part["sound"]][:SOUND],
    }


def truncate(part: Json) -> Json:
    """Return a part with as many recordings as one of sixteen keeps."""
    faulty, sound = _OF_SIXTEEN
    return {"faulty": part["faulty"][:faulty], "sound": part["sound"][:sound]}
