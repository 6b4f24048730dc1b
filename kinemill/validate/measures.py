"""Numbers that physical checks measure, summarized over many tracks."""

from collections.abc import Iterable, Mapping

import numpy as np

Measured = dict[str, dict[str, float]]  # of one track: check -> name -> number


def summarize(
    tracks: Iterable[Measured], spans: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, list[float]]]:
    """Return minimum, median and maximum of each number, by check and name.

    `tracks` is a sample, for the medians; `spans` covers all tracks, by `check/name`.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for track in tracks:
        for check, numbers in track.items():
            for name, value in numbers.items():
                values.setdefault(check, {}).setdefault(name, []).append(value)
    result: dict[str, dict[str, list[float]]] = {}
    for key, (least, largest) in sorted(spans.items()):
        check, _, name = key.partition("/")
        current = values.get(check, {}).get(name) or [least, largest]
        result.setdefault(check, {})[name] = [least, float(np.median(current)), largest]
    return result
