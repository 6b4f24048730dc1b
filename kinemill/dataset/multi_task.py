"""Collect the episodes of a dataset: the task's own, and those of other tasks that join it.

A joined task has the same channels and time step; its latest published episodes are used. There is
no dependency edge: later episodes of the other task join when this task is next run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from kinemill.dataset.incremental import UnchangedPieces
from kinemill.dataset.split import SplitContext, SplitEpisode, unit_of
from kinemill.errors import BadInput
from kinemill.ingest.membership import find_member
from kinemill.ingest.metadata import PROBLEM, metadata
from kinemill.query import QueryError
from kinemill.search.run import matching_recordings
from kinemill.search.view import open_view
from kinemill.store import ArtifactRef, Home, digest
from kinemill.task import Task, load_task
from kinemill.task.component_file import sibling
from kinemill.task.stages import Joined
from kinemill.validate.accepted_episodes import AcceptedEpisodes
from kinemill.validate.duplicates.registry import duplicate_groups
from kinemill.validate.published import latest_episodes
from kinemill.validate.stage import load_episodes
from kinemill.validate.summary import EpisodesSummary

_EQUAL = ("role", "kind", "unit")  # attributes of a channel that must be equal


@dataclass(frozen=True)
class EpisodeSet:
    """All episodes of a dataset, the task's own first.

    Attributes:
        episodes: of all tasks, without those of `unchanged`; no recording occurs in two tasks.
        context: sessions, near-duplicates, and episodes that are for training alone.
        tasks: task of each joined episode, by id.
        digests: digest of the episodes of each joined task.
        selected: digest of the own episodes that `dataset.where` selects; "" without a rule.
        unchanged: what is kept of the previous version; None if all episodes are listed.
    """

    episodes: AcceptedEpisodes
    context: SplitContext
    tasks: dict[str, str] = field(default_factory=dict[str, str])
    digests: dict[str, str] = field(default_factory=dict[str, str])
    selected: str = ""
    unchanged: UnchangedPieces | None = None


def changed_episodes(
    task: Task, home: Home, episodes: ArtifactRef, unchanged: UnchangedPieces
) -> EpisodeSet:
    """Return the episodes of changed recordings, with near-duplicates among all recordings."""
    changed = load_episodes(home, episodes, unchanged.changed)
    duplicates = {**unchanged.repeats, **duplicates_of(task, home, changed)}
    context = SplitContext(roots=roots_of(task, duplicates), duplicates=duplicates)
    return EpisodeSet(changed, context, unchanged=unchanged)


def collect_episodes(task: Task, home: Home, episodes: ArtifactRef) -> EpisodeSet:
    """Return the task's own episodes and those of the tasks in `dataset.join`.

    Raises:
        BadInput: A joined task lacks a channel, has other units, another time step, or no
            episodes; or the session of a recording is unknown.
    """
    selection = load_episodes(home, episodes)
    selected = ""
    if task.dataset.where is not None:
        selection = _select(task, home, selection, task.dataset.where)
        selected = digest(selection.table.select("id", "artifact").sort("id").rows())
    collected = EpisodeSet(selection, _context(task, home, selection), selected=selected)
    for joined in task.dataset.join:
        collected = _join(task, home, collected, joined)
    return collected


def _select(task: Task, home: Home, episodes: AcceptedEpisodes, query: str) -> AcceptedEpisodes:
    """Return the episodes of the recordings that match a query.

    Raises:
        BadInput: No recording has a key of the metadata that the query names, or none matches.
    """
    where = f"{task.path or task.name}: dataset.where"
    try:
        matches = list(matching_recordings(open_view(task, home), home, query))
    except QueryError as error:
        raise BadInput(where, error.message) from error
    selected = episodes.filter(pl.col("recording").is_in(matches))
    if episodes and not selected:
        problem = f"matches no recording with an accepted episode, of {len(episodes)} episodes"
        raise BadInput(where, problem, fix=f'try it: kinemill data search {task.name} "{query}"')
    return selected


def _context(task: Task, home: Home, episodes: Sequence[SplitEpisode]) -> SplitContext:
    duplicates = duplicates_of(task, home, episodes)
    groups = groups_of(task, home, episodes)
    return SplitContext(groups, roots=roots_of(task, duplicates), duplicates=duplicates)


def find_joined(task: Task, home: Home, name: str) -> tuple[Task, ArtifactRef]:
    """Return a task of `dataset.join` and its latest episodes.

    Raises:
        BadInput: It does not exist, lacks a channel, has other units, another time step, or no
            episodes.
    """
    where = f"{task.path or task.name}: dataset.join: {name}"
    if task.path and not sibling(task.path, name).is_file():
        missing = f"{sibling(task.path, name)} does not exist"
        raise BadInput(where, missing, expected="the name of a task next to this one")
    joined_task = load_task(sibling(task.path, name) if task.path else name)
    if differences := [*_differences(task, joined_task)]:
        fix = "give both tasks the same channels, or remove it"
        raise BadInput(where, "; ".join(differences), fix=fix)
    ref = latest_episodes(home, joined_task.name)
    if ref is None:
        raise BadInput(
            where, "has no validated episodes yet", fix=f"kinemill data validate {joined_task.name}"
        )
    return joined_task, ref


def _join(task: Task, home: Home, collected: EpisodeSet, joined: Joined) -> EpisodeSet:
    joined_task, ref = find_joined(task, home, joined.task)
    present = {episode.recording for episode in collected.episodes}
    added = load_episodes(home, ref).filter(~pl.col("recording").is_in(present))
    context = collected.context
    if joined.split:
        joined_context = _context(
            joined_task.model_copy(update={"dataset": task.dataset}), home, added
        )
        context = replace(
            context,
            groups={**context.groups, **joined_context.groups},
            roots={**context.roots, **joined_context.roots},
            duplicates={**context.duplicates, **joined_context.duplicates},
        )
    else:
        context = replace(context, training=context.training | {episode.id for episode in added})
    return replace(
        collected,
        episodes=collected.episodes + added,
        context=context,
        tasks=collected.tasks | {episode.id: joined_task.name for episode in added},
        digests=collected.digests | {joined_task.name: EpisodesSummary.read(home, ref).digest},
    )


def _differences(task: Task, joined: Task) -> Iterator[str]:
    """Yield the differences that prevent joining the episodes of two tasks."""
    if joined.name == task.name:
        yield "is this task itself"
    if abs(joined.dt - task.dt) > 1e-9 * task.dt:
        yield f"has a time step of {joined.dt:g} s; expected {task.dt:g} s"
    for name, channel in task.channels.items():
        if name not in joined.channels:
            yield f"has no channel {name!r}"
            continue
        for key in _EQUAL:
            expected = getattr(channel, key)
            actual = getattr(joined.channels[name], key)
            if expected != actual:
                yield f"has {name!r} with {key} {actual!r}; expected {expected!r}"


def roots_of(task: Task, duplicates: Mapping[str, str]) -> Mapping[str, str]:
    """Return the recording that each near-duplicate stays with; none with `near_duplicates: apart`.

    A recording is registered once, when it is first evaluated, so no episode changes its split.
    """
    return {} if task.dataset.near_duplicates == "apart" else duplicates


def duplicates_of(task: Task, home: Home, episodes: Iterable[SplitEpisode]) -> dict[str, str]:
    """Return the recording, or part, that each near-duplicate repeats."""
    groups = duplicate_groups(home, task.name)
    if not groups:
        return {}
    units = {unit for episode in episodes if (unit := unit_of(task.dataset, episode)) in groups}
    return {unit: groups[unit] for unit in sorted(units)}


def groups_of(task: Task, home: Home, episodes: Iterable[SplitEpisode]) -> dict[str, str]:
    """Return the session, or other value of `dataset.group_by`, by recording.

    Empty if the split is by recording or part.

    Raises:
        BadInput: The metadata of a recording lacks the key.
    """
    by = task.dataset.group_by
    if by in {"recording", "part"}:
        return {}
    groups, unknown = metadata_values(task, home, by, episodes, {})
    if unknown:
        names = ", ".join(
            f"{name} ({problem})" if problem else name
            for name, problem in sorted(unknown.items())[:5]
        )
        raise BadInput(
            f"{task.path or task.name}: dataset.group_by: {by}",
            f"is not known of {len(unknown)} recordings, such as {names}",
            fix=f"a group `(?P<{by}>...)` in `ingest.meta.name`, or a side-car such as "
            f"run7.meta.yaml with `{by}: ...` beside each log, and run again",
        )
    return groups


def metadata_values(
    task: Task, home: Home, key: str, episodes: Iterable[SplitEpisode], owners: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values of a key of the metadata by recording.

    The second result is the problem, or "", by name of each recording without the key. `owners` are
    the tasks of joined episodes, by id.
    """
    values = dict[str, str]()
    unknown = dict[str, str]()
    for recording, episode in {episode.recording: episode for episode in episodes}.items():
        member = find_member(home, owners.get(episode.id, task.name), recording)
        stated = metadata(task, episode.name, member.meta if member else {})
        if key in stated:
            values[recording] = stated[key]
        else:
            unknown[episode.name] = stated.get(PROBLEM, "")
    return values, unknown
