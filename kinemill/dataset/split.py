"""Train, validation and test split: a stable rule that looks at one recording alone.

No rule looks at other recordings, so nothing changes its split as data grows. All pieces of one
recording, or of one session where the task groups by session, stay together. If a share leaves a
split empty, `kinemill.dataset.assignment` fills it and stores what it assigned.

Order of the rules: patterns for unused, test, validation; then the share of test, then the share
of validation; the rest is for training. Rows prescribed by a benchmark are cut out of any split.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
import polars as pl

from kinemill.dataset.listing import SCHEMA
from kinemill.task import Dataset
from kinemill.task.stages import EpisodeShare, Rows

MOST_BLOCKS = 4
BLOCK_ROWS = 300  # of validation in an episode; rows of each of several blocks
_NAMED = ("unused", "test", "validation")  # by precedence
_PIECE = ("id", "split", "recording", "name", "rows", "first", "episode")


T = TypeVar("T", str, Rows)


class SplitEpisode(Protocol):
    """An episode as the split sees it."""

    @property
    def id(self) -> str:
        """Recording hash and index."""
        ...

    @property
    def recording(self) -> str:
        """Content hash of the recording."""
        ...

    @property
    def name(self) -> str:
        """Name of the recording when it was first ingested."""
        ...

    @property
    def part(self) -> str:
        """Part of the recording; empty if the recording has one part."""
        ...

    @property
    def rows(self) -> int:
        """Number of time steps."""
        ...


@dataclass(frozen=True)
class Piece:
    """Rows `first` to `last` (exclusive) of one episode, in one split."""

    id: str
    episode: str
    recording: str
    name: str
    split: str
    first: int
    last: int

    @property
    def rows(self) -> int:
        """Number of time steps."""
        return self.last - self.first


def piece_table(pieces: Iterable[Piece]) -> pl.DataFrame:
    """Return a table of pieces, one row for each."""
    listed = list(pieces)
    columns = {name: [getattr(piece, name) for piece in listed] for name in _PIECE}
    return pl.DataFrame(columns, schema={name: SCHEMA[name] for name in _PIECE})


@dataclass(frozen=True)
class SplitContext:
    """What the split depends on besides the hashes and names of recordings.

    Attributes:
        groups: session (or other `dataset.group_by` value) by recording; empty: no grouping.
        starts: row of its recording, or part, at which an episode begins, by episode; default 0.
        roots: the recording, or `recording/part`, that a near-duplicate stays with.
        duplicates: the same, also if the task keeps near-duplicates apart.
        training: ids of episodes that are always used whole, for training.
        assigned: split by unit (recording, part or session) that fills an empty split.
    """

    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    starts: Mapping[str, int] = field(default_factory=dict[str, int])
    roots: Mapping[str, str] = field(default_factory=dict[str, str])
    duplicates: Mapping[str, str] = field(default_factory=dict[str, str])
    training: Set[str] = frozenset()
    assigned: Mapping[str, str] = field(default_factory=dict[str, str])

    def key(self, rules: Dataset, episode: SplitEpisode) -> str:
        """Return what the shares split by: session, recording or part."""
        unit = unit_of(rules, episode)
        return self.groups.get(episode.recording, self.roots.get(unit, unit))

    def side(self, rules: Dataset, episode: SplitEpisode) -> str:
        """Return the split of an episode, before rows are cut out."""
        if episode.id in self.training:
            return "train"
        group = self.groups.get(episode.recording)
        named = named_side(rules, episode.name, group, episode.part)
        key = self.key(rules, episode)
        return named or self.assigned.get(key) or share_side(rules, key)


def position(recording: str) -> float:
    """Return the position of a recording in [0, 1), from its content hash alone."""
    # With a prefix, so that the position is independent of other uses of the hash.
    spot = hashlib.sha256(b"split" + recording.encode()).digest()[:8]
    return int.from_bytes(spot, "big") / 2.0**64


def names_of(name: str, part: str) -> list[str]:
    """Return the names that patterns match: the recording's, and `bag.h5/demo_3` of a part."""
    return [name, f"{name}/{part}"] if part else [name]


def unit_of(rules: Dataset, episode: SplitEpisode) -> str:
    """Return the unit that is never torn apart: the recording, or a part of it."""
    by_part = rules.group_by == "part" and episode.part
    return f"{episode.recording}/{episode.part}" if by_part else episode.recording


def unit_column(rules: Dataset) -> pl.Expr:
    """Return `unit_of` the episodes of a table with the columns `recording` and `part`."""
    recording = pl.col("recording")
    part = pl.col("part")
    if rules.group_by != "part":
        return recording
    return (
        pl.when(part == "").then(recording).otherwise(pl.concat_str(recording, part, separator="/"))
    )


def named_side(rules: Dataset, name: str, group: str | None = None, part: str = "") -> str | None:
    """Return the split that a pattern assigns to a recording, or None if none matches.

    Args:
        rules: the task's `dataset` part.
        name: name of the recording.
        group: its session. Patterns of test and validation then match the session instead, so
            that no session is torn apart.
        part: part of the recording, if it has several.
    """
    names_in_recording = names_of(name, part)
    for side in _NAMED:
        if not (globs := patterns(rules, side)):
            continue
        names = (
            names_in_recording
            if group is None
            else [group, *names_in_recording]
            if side == "unused"
            else [group]
        )
        if _matches(names, globs):
            return side
    return None


def _matches(names: Iterable[str], globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for name in names for glob in globs)


def share_side(rules: Dataset, unit: str) -> str:
    """Return the split that the shares assign to a unit: train, validation or test."""
    test = rules.test if isinstance(rules.test, float) else 0.0
    validation = rules.validation if isinstance(rules.validation, float) else 0.0
    spot = position(unit)
    if spot < test:
        return "test"
    return "validation" if spot < test + validation else "train"


def patterns(rules: Dataset, side: str) -> list[str]:
    """Return the name patterns that put recordings into a split."""
    return _listed(rules, side, str)


def ranges(rules: Dataset, side: str) -> list[Rows]:
    """Return the row ranges that the task puts into a split."""
    return _listed(rules, side, Rows)


def _listed(rules: Dataset, side: str, kind: type[T]) -> list[T]:
    listed = getattr(rules, side)
    return [item for item in listed if isinstance(item, kind)] if isinstance(listed, list) else []


def tears_recordings(rules: Dataset) -> bool:
    """Return whether the rules can put rows of one recording into two splits."""
    by_part = rules.group_by == "part" or has_patterns(rules)
    return by_part or isinstance(rules.validation, EpisodeShare)


def has_patterns(rules: Dataset) -> bool:
    """Return whether the rules name recordings, parts or rows of a split."""
    return prescribes_rows(rules) or any(patterns(rules, side) for side in _NAMED)


def prescribes_rows(rules: Dataset) -> bool:
    """Return whether the rules put fixed rows of recordings into a split."""
    return any(ranges(rules, side) for side in _NAMED)


def cut_pieces(
    rules: Dataset,
    episodes: Iterable[SplitEpisode],
    shortest: int = 2,
    context: SplitContext | None = None,
) -> list[Piece]:
    """Return the pieces of all episodes: prescribed rows and validation blocks or tails cut out.

    Args:
        rules: the task's `dataset` part.
        episodes: all accepted episodes.
        shortest: minimum rows of a piece. An episode too short to give both splits as much stays
            whole, in training. Shorter remainders of prescribed rows are unused.
        context: sessions, near-duplicates, and first rows of episodes.
    """
    context = context or SplitContext()
    pieces: list[Piece] = []
    # Reversed, because marks overwrite: the rule of highest precedence comes last.
    prescribed = [
        (index, range_)
        for index, side in reversed(list(enumerate(_NAMED)))
        for range_ in ranges(rules, side)
    ]
    for episode in episodes:
        side = context.side(rules, episode)
        about = (episode.id, episode.recording, episode.name)
        if episode.id in context.training:
            pieces.append(Piece(episode.id, *about, side, 0, episode.rows))
            continue
        spans = _spans(prescribed, episode, side, context.starts.get(episode.id, 0), shortest)
        for side_, first, last in spans:
            piece_id = episode.id if len(spans) == 1 else f"{episode.id}-rows{first}"
            blocks = (
                _validation(rules, piece_id, last - first, shortest) if side_ == "train" else []
            )
            if not blocks:
                pieces.append(Piece(piece_id, *about, side_, first, last))
                continue
            # Odd intervals between the edges are the validation blocks.
            edges = [0, *(edge for block in blocks for edge in block), last - first]
            for index, (begin, end) in enumerate(pairwise(edges)):
                if begin == end:
                    continue
                rest = "train" if end - begin >= shortest else "unused"
                split = "validation" if index % 2 else rest
                piece = f"{piece_id}-rows{first + begin}" if index else piece_id
                pieces.append(Piece(piece, *about, split, first + begin, first + end))
    return pieces


def _spans(
    prescribed: list[tuple[int, Rows]], episode: SplitEpisode, side: str, start: int, shortest: int
) -> list[tuple[str, int, int]]:
    """Return (split, first row, row after the last) of the spans of an episode.

    `prescribed` are row ranges with the index of their split; later ones overwrite earlier ones.
    """
    names = names_of(episode.name, episode.part) if prescribed else []
    matching = [(index, part) for index, part in prescribed if _matches(names, [part.of])]
    if not matching or side == "unused":
        return [(side, 0, episode.rows)]
    marks = np.full(episode.rows, -1, np.int8)
    for index, part in matching:
        last = episode.rows if part.rows[1] is None else max(part.rows[1] - start, 0)
        marks[max(part.rows[0] - start, 0) : last] = index
    edges = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), episode.rows]
    spans: list[tuple[str, int, int]] = []
    for first, last in pairwise(edges):
        mark = int(marks[first])
        remainder = side if last - first >= shortest else "unused"
        spans.append((remainder if mark < 0 else _NAMED[mark], first, last))
    return spans


def _validation(rules: Dataset, name: str, rows: int, shortest: int) -> list[tuple[int, int]]:
    """Return the validation blocks (first row, row after the last) of rows of training.

    A share of blocks is divided among equal sections, with one block in each, at a place that
    follows from the hash of `own`: nothing else changes it.
    """
    rule = rules.validation
    if not isinstance(rule, EpisodeShare):
        return []
    total = round((rule.tail or rule.blocks or 0.0) * rows)
    if min(total, rows - total) < shortest:
        return []
    if rule.tail is not None:
        return [(rows - total, rows)]
    count = max(1, min(MOST_BLOCKS, total // BLOCK_ROWS))
    size = total // count
    section = rows // count
    # One block per section, at a position from the id alone: equal in every version.
    firsts = [
        index * section + round(position(f"{name}-{index}") * (section - size))
        for index in range(count)
    ]
    return [(first, first + size) for first in firsts]


def unmatched_patterns(
    rules: Dataset, names: Iterable[str], groups: Mapping[str, str] | None = None
) -> list[str]:
    """Return the patterns that match nothing, each as `test: '*x*'`."""
    recordings = list(names)
    sessions = set((groups or {}).values())
    unmatched: list[str] = []
    for side in _NAMED:
        matched = recordings if not groups or side == "unused" else []
        unmatched += [
            f"{side}: {pattern!r}"
            for pattern in patterns(rules, side)
            if not _matches([*matched, *sessions], [pattern])
        ]
        unmatched += [
            f"{side}: {range_.spell()}"
            for range_ in ranges(rules, side)
            if not _matches(recordings, [range_.of])
        ]
    return unmatched
