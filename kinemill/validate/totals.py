"""Totals over all evaluated recordings: sums that are updated with each changed recording.

A recording that leaves is subtracted. Only where its value is the smallest or largest of all is
the next one unknown: then `is_exact` is false, and the totals must be summed again from all rows.
That happens to one in N/2 recordings that leave, so it costs the same among any number.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kinemill.catalog.evaluations import Evaluation
from kinemill.catalog.history import set_difference, set_digest
from kinemill.validate.evaluation import Details

Span = tuple[float, float]  # smallest and largest value
Item = tuple[Evaluation, Details]
K = TypeVar("K", str, int)


@dataclass(frozen=True)
class Totals:
    """Totals over evaluated recordings.

    Attributes:
        counts: number of `recordings`; of those without an accepted episode (`quarantined`), with a
            finding (`faulty`) or not accepted as a whole (`held_back`); accepted `episodes` and
            `rows`; accepted episodes that no user released (`checked`); `sketches`.
        dropped: dropped rows by check.
        checks: number of findings, of dropped rows and of recordings by check.
        spans: smallest and largest number by `check/name`.
        episodes: digest of the set of episodes.
        is_exact: whether `spans` are those of the present recordings.
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    checks: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])
    spans: dict[str, Span] = field(default_factory=dict[str, Span])
    episodes: str = set_digest([])
    is_exact: bool = True

    def __getitem__(self, name: str) -> int:
        """Return one of the counts."""
        return self.counts.get(name, 0)

    def changed(self, old: Iterable[Item], new: Iterable[Item]) -> "Totals":
        """Return the totals after recordings were replaced."""
        counts = Counter(self.counts)
        dropped = Counter(self.dropped)
        checks = {check: Counter(dict(enumerate(counts))) for check, counts in self.checks.items()}
        spans = dict(self.spans)
        is_exact = self.is_exact
        digests = {-1: list[bytes](), 1: [bytes.fromhex(self.episodes)]}
        for sign, items in ((-1, old), (1, new)):
            for row, details in items:
                _add(counts, _counts_of(row), sign)
                _add(dropped, details.dropped, sign)
                for check, (count, lost) in details.counts().items():
                    counter = checks.setdefault(check, Counter())
                    _add(counter, {0: count, 1: lost, 2: 1}, sign)
                digests[sign].append(bytes.fromhex(details.episodes))
                for name, value in _measured(details):
                    low, high = spans.get(name, (value, value))
                    if sign > 0:
                        spans[name] = (min(low, value), max(high, value))
                    else:
                        is_exact &= low < value < high
        return Totals(
            _positive(counts),
            _positive(dropped),
            {
                check: (counts[0], counts[1], counts[2])
                for check, counts in sorted(checks.items())
                if any(counts.values())
            },
            dict(sorted(spans.items())),
            set_difference(digests[1], digests[-1]),
            is_exact,
        )


def _counts_of(row: Evaluation) -> dict[str, int]:
    return {
        "recordings": 1,
        "quarantined": int(not row.episodes),
        "faulty": int(row.faulty),
        "held_back": int(row.held_back),
        "episodes": row.episodes,
        "rows": row.rows,
        "checked": 0 if row.released else row.episodes,
        "sketches": row.sketches,
    }


def _measured(details: Details) -> Iterator[tuple[str, float]]:
    """Yield the numbers that checks measured in a recording, by the name of `Totals.spans`."""
    for track in details.measured:
        for check, numbers in track.items():
            for name, value in numbers.items():
                yield f"{check}/{name}", value


def _add(to: "Counter[K]", values: Mapping[K, int], sign: int) -> None:
    for key, value in values.items():
        to[key] += sign * value


def _positive(counter: Counter[str]) -> dict[str, int]:
    return {key: value for key, value in sorted(counter.items()) if value}
