"""Check the dataset that logs would make, without writing anything."""

from collections.abc import Sequence
from dataclasses import replace

from kinemill.dataset.assignment import fill_sides, stored_sides, used_recordings
from kinemill.dataset.multi_task import duplicates_of, roots_of
from kinemill.dataset.precision import Extent, merge_extents, refuse_lost_motion
from kinemill.dataset.split import Piece, SplitContext, SplitEpisode, piece_table
from kinemill.dataset.trainable import check_rows, check_split
from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.dry_run import AcceptedEpisode
from kinemill.validate.published import latest_episodes
from kinemill.validate.stage import load_episodes


def dataset_problem(
    task: Task, home: Home, accepted: Sequence[AcceptedEpisode], *, split: bool
) -> str:
    """Return why no model could be trained on the logs; empty if one could.

    Episodes already in the home count as well. Without `split`, or if sessions decide about the
    split (they are known after ingest), only the length of the episodes and their float32
    precision are checked.

    Args:
        task: task with the `dataset` and `learn` parts.
        home: home, which is only read.
        accepted: accepted episodes of the logs.
        split: whether the logs are complete, so that the split is checked too.
    """
    if not task.learn.from_logs:
        return ""
    ref = latest_episodes(home, task.name)
    existing = load_episodes(home, ref) if ref else []
    ingested = {episode.recording for episode in existing}
    new = [episode for episode in accepted if episode.recording not in ingested]
    try:
        if new:
            refuse_lost_motion(task, _extent(task, new))
        if task.dataset.group_by not in {"recording", "part"} or not split:
            check_rows(task, piece_table(map(_as_training, accepted)).lazy())
        elif new:
            _check_split(task, home, [*existing, *new], new)
    except BadInput as error:
        return str(error)
    return ""


def _extent(task: Task, episodes: Sequence[AcceptedEpisode]) -> Extent:
    """Return the extent of the numeric channels of episodes, angles excluded."""
    numbers = task.numbers
    columns = [at for at, name in enumerate(numbers) if task.channels[name].kind != "angle"]
    names = [numbers[at] for at in columns]
    rows = [episode.extent[:, columns] for episode in episodes]
    return merge_extents(
        [Extent(names, m, reach, std, std, change) for m, reach, std, change in rows]
    )


def _as_training(episode: AcceptedEpisode) -> Piece:
    return Piece(episode.id, episode.id, episode.recording, episode.name, "train", 0, episode.rows)


def _check_split(
    task: Task, home: Home, episodes: list[SplitEpisode], new: list[AcceptedEpisode]
) -> None:
    context = SplitContext(
        starts={episode.id: episode.start for episode in new},
        roots=roots_of(task, duplicates_of(task, home, episodes)),
        assigned=stored_sides(task, home),
    )
    added = fill_sides(task.dataset, episodes, context, used_recordings(home, task))
    context = replace(context, assigned={**context.assigned, **added})
    check_split(task, episodes, context, {episode.id: episode.values for episode in new})
