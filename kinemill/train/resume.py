"""Resume an interrupted training from its checkpoints, or report why they cannot be used.

The name of a training's folder is the digest of all inputs of its weights, so a training with other
settings or data starts in a new folder. Its file `inputs.json` holds these inputs, so that an error
can list the changes.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.store import Home, Json, canonical, digest, peek, publish_json, read_json
from kinemill.task.settings import leaves
from kinemill.train.checkpoint import checkpoints, step_of

INPUTS = "inputs.json"
_MAX_LENGTH = 60  # characters of a value in a message
_NONE = "not there"


def key_of(inputs: Json) -> str:
    """Return the name of the folder of a training with these inputs."""
    return digest(inputs)[:32]


def note_inputs(folder: Path, inputs: Json) -> None:
    """Write the inputs of a training to `inputs.json` in `folder`, unless the file exists."""
    if not (folder / INPUTS).is_file():
        publish_json(folder / INPUTS, inputs)


def latest_unfinished(home: Home, task: str, among: Collection[str] | None = None) -> Path | None:
    """Return the folder with the newest checkpoint of a task's unfinished trainings, or None.

    Args:
        home: home of the trainings.
        task: name of the task.
        among: names of folders to consider; None: all, including those of a search.
    """
    checkpoints_by_time = list[tuple[float, Path]]()
    for folder in _folders(home.runs / task):
        finished = peek(home, "model", task, folder.name) is not None
        if not finished and (among is None or folder.name in among):
            written = [path.stat().st_mtime for path in checkpoints(folder)]
            checkpoints_by_time.extend((time, folder) for time in written)
    return max(checkpoints_by_time)[1] if checkpoints_by_time else None


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if (path / INPUTS).is_file())


def refuse_changes(folder: Path, inputs: Json) -> None:
    """Check that a training with these inputs can resume from the checkpoints in `folder`.

    Raises:
        BadInput: The inputs differ; the error names each changed setting and changed data.
    """
    previous = read_json(folder / INPUTS)
    if canonical(previous) == canonical(inputs):
        return
    step = step_of(checkpoints(folder)[-1])
    raise BadInput(
        "resume",
        f"the training that stopped after step {step} had {'; '.join(changes(previous, inputs))}",
        expected="the same settings and data",
        fix="undo the change, or start again without --resume; use learn.start_from to "
        "continue from its weights with other settings",
    )


def changes(previous: Json, now: Json) -> list[str]:
    """Return the differing dotted keys of two nested documents: `learn.seed: 0 -> 1`."""
    old, new = (
        {key.removeprefix("task."): value for key, value in leaves(inputs)}
        for inputs in (previous, now)
    )
    return [
        f"{key}: {_abbreviate(old.get(key, _NONE))} -> {_abbreviate(new.get(key, _NONE))}"
        for key in (*old, *(key for key in new if key not in old))
        if old.get(key, _NONE) != new.get(key, _NONE)
    ]


def _abbreviate(value: object) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
