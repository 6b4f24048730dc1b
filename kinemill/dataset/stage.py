"""Dataset stage: pack accepted episodes into segments of rows, with split and statistics.

Class balance: with `balance`, training samples episodes of rare classes more often. A class with n
rows is sampled in proportion to n^(1 - power): by its rows at power 0, equally often at power 1
(Mahajan et al. 2018, section 2.2, use 0.5).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from kinemill.dataset import segments
from kinemill.dataset.assignment import assign_sides, known_sides
from kinemill.dataset.catalog import STAGE, enter
from kinemill.dataset.description import read_description
from kinemill.dataset.incremental import PreviousVersion, find_previous, find_unchanged, note_source
from kinemill.dataset.layout import COMPACT, LAYOUT, lay_out, scan_layout
from kinemill.dataset.leakage import find_related, find_torn_duplicates, measure_leakage
from kinemill.dataset.listing import SCHEMA, scan_listing
from kinemill.dataset.multi_task import (
    EpisodeSet,
    changed_episodes,
    collect_episodes,
    metadata_values,
)
from kinemill.dataset.row_writer import RowWriter
from kinemill.dataset.scale import outside_training
from kinemill.dataset.split import (
    SplitContext,
    cut_pieces,
    has_patterns,
    names_of,
    prescribes_rows,
    unit_of,
    unmatched_patterns,
)
from kinemill.dataset.summary import DatasetSummary, channel_statistics
from kinemill.dataset.trainable import check_clips, check_published, check_rows, check_sides
from kinemill.errors import BadInput
from kinemill.store import Artifact, ArtifactRef, Home, Json, digest, get_or_build, to_json_value
from kinemill.task import Dataset, Task
from kinemill.task.stages import Balance
from kinemill.validate.episodes import Episode
from kinemill.validate.summary import EpisodesSummary

VERSION = 14
_BATCH = 5_000  # episodes that are objects at the same time


def inputs(
    task: Task,
    home: Home,
    episodes: ArtifactRef,
    collected: EpisodeSet,
    classes: Mapping[str, str],
) -> Json:
    """Return what the artifact key is made of; `classes` of episodes by id, which are balanced.

    The key contains the accepted episodes alone: a new log that goes to quarantine as a whole
    makes no new version.
    """
    context = collected.context
    return {
        **_settings(task, context),
        "episodes": collected.selected or EpisodesSummary.read(home, episodes).digest,
        "groups": digest(context.groups),
        "repeats": digest([context.roots, context.duplicates]),
        "classes": digest(classes),
        "join": collected.digests,
    }


def _settings(task: Task, context: SplitContext) -> Json:
    """Return the inputs that do not depend on the recordings."""
    return {
        "task": task.part("dt", "channels", "dataset"),
        "columns": task.columns,  # digests sort keys, but the order of channels matters
        "shortest": task.validation.min_steps,
        "assigned": digest(context.assigned),
        "version": VERSION,
    }


def run(task: Task, home: Home, episodes: ArtifactRef) -> Artifact:
    """Publish a dataset version and enter it in the catalog; return the cached one if unchanged.

    Raises:
        BadInput: A split is empty, no model of the task's `learn` part can be trained on it, or
            the session of a recording is unknown.
    """
    collected = _collect(task, home, episodes)
    classes = _classes_of(task, home, collected)
    key = inputs(task, home, episodes, collected, classes)

    def build(folder: Path) -> Json:
        unchanged = collected.unchanged
        previous = unchanged.previous if unchanged else find_previous(home, task.name, key)
        return to_json_value(pack(task, collected, folder, classes, previous))

    artifact = get_or_build(home, STAGE, task.name, key, build)
    if artifact.cached:
        check_published(task, home.root / artifact.ref.path)
    enter(home, task.name, artifact.ref)
    note_source(home, task.name, artifact.ref.digest, episodes)
    return artifact


def _collect(task: Task, home: Home, episodes: ArtifactRef) -> EpisodeSet:
    """Return the episodes of a version with their split assignments; if possible changed ones."""
    assigned = SplitContext(assigned=known_sides(task, home))
    unchanged = find_unchanged(task, home, episodes, _settings(task, assigned))
    if unchanged is None:
        collected = collect_episodes(task, home, episodes)
        context = assign_sides(task, home, collected.episodes, collected.context)
    else:
        collected = changed_episodes(task, home, episodes, unchanged)
        context = replace(collected.context, assigned=assigned.assigned)
    return replace(collected, context=context)


def pack(
    task: Task,
    collected: EpisodeSet,
    folder: Path,
    classes: Mapping[str, str] | None = None,
    previous: PreviousVersion | None = None,
) -> DatasetSummary:
    """Write the packed rows and their description into `folder`; return the summary.

    Args:
        task: task with the `dataset` part.
        collected: accepted episodes, or the changed ones and the pieces of all others; sessions
            and near-duplicates, which stay together.
        folder: folder to write to.
        classes: class of each episode by id; classes are balanced.
        previous: version from which rows of unchanged episodes are copied; the bytes written are
            the same as without it.

    Raises:
        BadInput: A split is empty, or no model can be trained on it.
        CorruptArtifact: An episode has a value that is no finite float32.
    """
    rules = task.dataset
    episodes = collected.episodes
    context = replace(collected.context, starts=_begins(task, episodes, previous))
    table = _table(task, replace(collected, context=context), classes or {})
    if previous and not collected.unchanged:
        table = previous.locate(table)
    most = max(1, segments.LARGEST // (4 * len(task.columns)))
    layout = lay_out(table, most, collected.unchanged)
    listing = scan_layout(layout, previous)
    check_sides(task, listing, context)
    check_rows(task, listing)
    writer = RowWriter(task, folder, previous)
    dataset = writer.write(layout, episodes)
    check_clips(task, dataset, folder)
    about = read_description(folder)
    counts = {split: about.count(split) for split in LAYOUT}
    related = find_related(rules, scan_listing(folder), context)
    return DatasetSummary(
        {split: number for split, (number, _) in counts.items()},
        {split: rows for split, (_, rows) in counts.items()},
        channel_statistics(dataset),
        _unmatched(rules, listing, context),
        writer.coarse(),
        find_torn_duplicates(related, context),
        measure_leakage(rules, folder, related, dataset),
        {
            name: share
            for name, share in outside_training(dataset).items()
            if task.channels[name].kind == "linear"
        },
    )


def _unmatched(rules: Dataset, listing: pl.LazyFrame, context: SplitContext) -> list[str]:
    """Return the split patterns that match nothing."""
    if not has_patterns(rules):
        return []
    named = listing.select("name", "part").unique().collect().iter_rows()
    names = {alias for name, part in named for alias in names_of(name, part)}
    return unmatched_patterns(rules, names, context.groups)


def _begins(
    task: Task, episodes: Iterable[Episode], previous: PreviousVersion | None
) -> dict[str, int]:
    """Return the first row of each episode in its recording, if the task prescribes rows."""
    if not prescribes_rows(task.dataset):
        return {}

    def begin(episode: Episode) -> int:
        cached = previous.begins.get((episode.id, episode.artifact)) if previous else None
        return round(float(episode.read()["time_s"][0]) / task.dt) if cached is None else cached

    return {episode.id: begin(episode) for episode in episodes}


def _table(task: Task, collected: EpisodeSet, classes: Mapping[str, str]) -> pl.DataFrame:
    """Return the pieces of episodes: a listing without `start` and `stop`, and with `source`.

    Columns without any value are left out.
    """
    starts = range(0, max(len(collected.episodes), 1), _BATCH)
    batches = [collected.episodes[start : start + _BATCH] for start in starts]
    parts = [_part(task, replace(collected, episodes=batch), classes) for batch in batches]
    sources = [pl.col("source") + start for start in starts]
    table = pl.concat([part.with_columns(of) for part, of in zip(parts, sources, strict=True)])
    weights = _weights_of(table, task.dataset.balance) if task.dataset.balance else pl.lit(1.0)
    table = table.with_columns(weights.alias("weight"))
    return table.select(column for column in table if column.null_count() < max(len(column), 1))


def _part(task: Task, collected: EpisodeSet, classes: Mapping[str, str]) -> pl.DataFrame:
    """Return the pieces of some episodes; `source` is their number among these."""
    rules = task.dataset
    context = collected.context
    groups = context.groups
    listed = [*collected.episodes]
    pieces = cut_pieces(rules, listed, task.validation.min_steps, context)
    numbers = {episode.id: number for number, episode in enumerate(listed)}
    sources = [numbers[piece.episode] for piece in pieces]
    of = [listed[number] for number in sources]
    columns = {
        "split": [piece.split for piece in pieces],
        "first": [piece.first for piece in pieces],
        "rows": [piece.rows for piece in pieces],
        "group": [groups.get(episode.recording) for episode in of],
        "begins": [context.starts.get(episode.id) for episode in of],
        "task": [collected.tasks.get(episode.id, "") for episode in of],
        "side": [context.side(rules, episode) for episode in of],
        "repeats": [context.duplicates.get(unit_of(rules, episode)) for episode in of],
        "class": [classes.get(episode.id) for episode in of],
        "source": sources,
    }
    kinds = {**SCHEMA, **COMPACT, "class": pl.String, "source": pl.Int64}
    table = pl.DataFrame(columns, schema={name: kinds[name] for name in columns})
    # Columns of the table of episodes, so that ids, names and digests are in memory once.
    shared = collected.episodes.table.select("id", "recording", "name", "artifact", "part")
    shared = shared.with_columns(pl.col("id").alias("episode"))
    if (ids := [piece.id for piece in pieces]) != [*numbers]:  # some are cut or left out
        shared = shared[sources].with_columns(pl.Series("id", ids, pl.String))
    return table.hstack(shared)


def _classes_of(task: Task, home: Home, collected: EpisodeSet) -> dict[str, str]:
    """Return the class of each episode by id; empty without `dataset.balance`.

    Raises:
        BadInput: The metadata of a recording lacks the key.
    """
    balance = task.dataset.balance
    if balance is None:
        return {}
    attributes = {
        "episode": lambda episode: episode.id,
        "recording": lambda episode: episode.recording,
        "task": lambda episode: collected.tasks.get(episode.id, task.name),
    }
    if balance.group_by in attributes:
        return {episode.id: attributes[balance.group_by](episode) for episode in collected.episodes}
    values, unknown = metadata_values(
        task, home, balance.group_by, collected.episodes, collected.tasks
    )
    if unknown:
        raise BadInput(
            f"{task.path or task.name}: dataset.balance.group_by: {balance.group_by}",
            f"is not known of {len(unknown)} recordings, such as {next(iter(unknown))}",
            expected=f"{', '.join(attributes)}, or a key that every recording's metadata has",
            fix="a group in `ingest.meta.name`, or a side-car beside each log",
        )
    return {episode.id: values[episode.recording] for episode in collected.episodes}


def _weights_of(pieces: pl.DataFrame, balance: Balance) -> pl.Expr:
    """Return the sampling weight of each piece's rows; the mean over training rows is 1.

    Pieces of validation and test have weight 1.
    """
    power = balance.power
    trained = pl.col("split") == "train"
    classes = pieces.filter(trained).group_by("class", maintain_order=True)
    rows = dict(classes.agg(pl.col("rows").sum()).iter_rows())
    # n rows of a class weigh scale n^-power each, and all weights together must sum to Σ n.
    scale = sum(rows.values()) / (sum(count ** (1.0 - power) for count in rows.values()) or 1.0)
    weights = {name: scale * count**-power for name, count in rows.items()}
    of = pl.col("class").replace_strict(weights, default=1.0, return_dtype=pl.Float64)
    return pl.when(trained).then(of).otherwise(1.0)
