"""The learning loop of a task from Python, with a robot or the simulated plant."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kinemill.api.progress import StderrProgress
from kinemill.api.project import project
from kinemill.store import Json

if TYPE_CHECKING:
    from kinemill.control.controlled_plant import ControlledPlant


def learn_in_loop(
    task: str,
    *,
    plant: "ControlledPlant | None" = None,
    overrides: Mapping[str, object] | None = None,
) -> Json:
    """Run the remaining rounds of a task's loop; see docs/learning-loop.md.

    Args:
        task: name of a task with a `loop` part, or path of its file.
        plant: plant of the episodes; default: the simulated plant of the task.
        overrides: values by dotted key.

    Returns:
        The document of `kinemill run --json`: `status` is `done`, `missed` or `unchanged`; `steps`
        of the plant, `successes` of `trials`, and one entry for each of `rounds`.

    Raises:
        TaskError: The task file or an override is invalid; nothing was started.
        EpisodeFailed: The plant failed; earlier episodes are kept.
    """
    pipeline = project("pipelines.loop")
    return pipeline.run_loop(task, dict(overrides or {}), StderrProgress(), plant=plant)
