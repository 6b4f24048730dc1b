"""From the stage `model` to the stage `onnx_model`."""

from pathlib import Path

from kinemill.store import Artifact, ArtifactRef, Json, get_or_build, open_ref
from kinemill.store.home import Home
from kinemill.task.document import Task

VERSION = 4


def export(
    task: Task, home: Home, model: ArtifactRef, dataset: ArtifactRef | None = None
) -> Artifact:
    """Publish `step.onnx`, `rollout.onnx`, `io.yaml` and `cases.npz` of the stage `model`.

    Of a policy it is `policy.onnx` in the place of the first two.

    Args:
        task: its `export` part says what else.
        home: where the refs lie.
        model: the trained step.
        dataset: whose training windows parity cases are cut from; without it they are made up.

    Raises:
        Blocked: the exported step gives NaN, or other numbers than the trained one.
    """

    def build(folder: Path) -> Json:
        from kinemill.dataset import load_dataset
        from kinemill.export.interface import describe
        from kinemill.export.step_files import Extras, write_model
        from kinemill.train import load_model
        from kinemill.train.warm_start import described

        source = open_ref(home, model)
        step, about = load_model(source), described(source)
        if task.learn.gives == "policy":
            from kinemill.export import policy

            interface = policy.describe(step, about["task"], about["dataset"])
            lineage = {"model": model.digest, **_environment_sources(task, home, dataset)}
            return policy.write_policy(step, interface, folder, task.export, lineage)
        rows = load_dataset(home, dataset) if dataset else None
        extras = Extras(task.export, rows, {"model": model.digest})
        return write_model(step, describe(about, step), folder, extras)

    inputs = {"model": model.digest, **task.part("export"), "version": VERSION}
    inputs |= {"dataset": dataset.digest} if dataset else {}
    return get_or_build(home, "onnx_model", task.name, inputs, build)


def _environment_sources(task: Task, home: Home, dataset: ArtifactRef | None) -> dict[str, str]:
    """Return what of kinemill's own the environment of a policy stands on, such as a champion."""
    if dataset is None or task.learn.from_logs:
        return {}
    from kinemill.environments.card import open_card

    sources = open_card(home, dataset).document["lineage"]
    return {f"environment.{name}": value for name, value in sources.items()}


def prepare() -> None:
    """Do what only a process's first export has to do: about three seconds of imports."""
    from kinemill.export.step_files import warm_up

    warm_up()
