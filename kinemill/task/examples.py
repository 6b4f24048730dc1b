"""Example task files and presets of the package."""

from pathlib import Path

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.store import publish_file

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PRESETS = EXAMPLES / "presets"


def example_tasks() -> dict[str, Path]:
    """Return the example task files by name, sorted."""
    return {path.stem: path for path in sorted((EXAMPLES / "tasks").glob("*.yaml"))}


def example_task(name: str) -> Path:
    """Return the file of an example.

    Raises:
        BadInput: The example is unknown; the message holds the nearest name.
    """
    examples = example_tasks()
    if name not in examples:
        raise BadInput(f"example {name!r}", "unknown", fix=nearest(name, list(examples)))
    return examples[name]


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example to a folder of tasks, with its other files, such as a robot model.

    It returns the task file there.

    Raises:
        BadInput: The example is unknown, `folder` is a file, or it has a file of that name.
    """
    source = example_task(name)
    if folder.is_file():
        raise BadInput(folder, "is a file", expected="a folder", fix="choose a folder with --to")
    sources = [source, *sorted({*source.parent.glob(f"{name}.*")} - {source})]
    for file in sources:
        if (target := folder / file.name).exists():
            raise BadInput(target, "already exists", fix="choose another folder with --to")
    folder.mkdir(parents=True, exist_ok=True)
    for file in sources:
        publish_file(folder / file.name, file.read_bytes())
    return folder / source.name
