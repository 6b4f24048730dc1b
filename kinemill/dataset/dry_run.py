"""Check the dataset that logs would make, without writing anything."""

from collections.abc import Sequence
from dataclasses import replace

from kinemill.dataset._assignment import fill_sides, stored_sides, used_recordings
from kinemill.dataset._multi_task import latest_episodes
from kinemill.dataset._near_duplicates import roots_of
from kinemill.dataset._precision import Extent, refuse_lost_motion, widest
from kinemill.dataset._split import Known, Piece, SplitEpisode
from kinemill.dataset._trainable import check_rows, check_split
from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import load_episodes
from kinemill.validate.dry_run import Accepted


def dataset_problem(task: Task, home: Home, found: Sequence[Accepted], *, split: bool) -> str:
    """Return why no model could be trained on the logs; empty if one could.

    The episodes that the home has count as well. Without `split`, or where sessions decide about
    the split (they are known after ingest), only the length of the episodes is checked, and whether
    float32 holds their motion.

    Args:
        task: how the episodes are split, and what is learned.
        home: only read.
        found: accepted episodes of the logs.
        split: whether the logs are all there are, so that the sides of the split are checked too.
    """
    if not task.learn.from_logs:
        return ""
    ref = latest_episodes(home, task.name)
    own = load_episodes(home, ref) if ref else []
    known_already = {one.recording for one in own}
    new = [one for one in found if one.recording not in known_already]
    try:
        if new:
            refuse_lost_motion(task, _extent(task, new))
        if task.dataset.group_by not in {"recording", "part"} or not split:
            check_rows(task, [_as_training(one) for one in found])
        elif new:
            _check_together(task, home, [*own, *new], new)
    except BadInput as error:
        return str(error)
    return ""


def _extent(task: Task, episodes: Sequence[Accepted]) -> Extent:
    """Return where the numbers of episodes lie and how much they move, but for angles."""
    every = task.numbers
    kept = [at for at, name in enumerate(every) if task.channels[name].kind != "angle"]
    names = [every[at] for at in kept]
    rows = [one.extent[:, kept] for one in episodes]
    return widest([Extent(names, m, reach, std, std, change) for m, reach, std, change in rows])


def _as_training(one: Accepted) -> Piece:
    return Piece(one.id, one.id, one.recording, one.name, "train", 0, one.rows)


def _check_together(
    task: Task, home: Home, episodes: list[SplitEpisode], new: list[Accepted]
) -> None:
    known = Known(
        starts={one.id: one.start for one in new},
        roots=roots_of(task, home, episodes),
        assigned=stored_sides(task, home),
    )
    added = fill_sides(task.dataset, episodes, known, used_recordings(home, task))
    known = replace(known, assigned={**known.assigned, **added})
    values = {one.id: one.values for one in new}
    check_split(task, episodes, known, values)
