"""From the stage `model` to the stage `onnx_model`."""

from pathlib import Path

from kinemill.home import Home
from kinemill.spec.task import Task
from kinemill.store import Json, Outcome, Ref, once, open_ref

VERSION = 1


def export(task: Task, home: Home, model: Ref) -> Outcome:
    """Publish `step.onnx`, `rollout.onnx` and `io.json` of the stage `model`.

    Raises:
        Blocked: the exported step gives NaN, or other numbers than the trained one.
    """

    def build(folder: Path) -> Json:
        from kinemill.export.interface import describe
        from kinemill.export.writing import write_model
        from kinemill.train import load_model
        from kinemill.train.start import described

        source = open_ref(home, model)
        step = load_model(source)
        return write_model(step, describe(described(source), step), folder)

    inputs = {"model": model.digest, "version": VERSION}
    return once(home, "onnx_model", task.name, inputs, build)


def prepare() -> None:
    """Do what only a process's first export has to do: about three seconds of imports."""
    from kinemill.export.writing import warm_up

    warm_up()
