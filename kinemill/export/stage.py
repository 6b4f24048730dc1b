"""Export stage: the artifact `model` becomes the artifact `onnx_model`."""

from dataclasses import replace
from pathlib import Path

from kinemill.dataset.environment_card import read_card
from kinemill.store import Artifact, ArtifactRef, Home, Json, get_or_build, open_ref, to_json_value
from kinemill.task.document import Task

VERSION = 12


def inputs(task: Task, model: ArtifactRef, dataset: ArtifactRef | None = None) -> Json:
    """Return the inputs that define the key of the artifact; arguments as in `run`."""
    document = {"model": model.digest, **task.part("export"), "version": VERSION}
    return document | ({"dataset": dataset.digest} if dataset else {})


def run(task: Task, home: Home, model: ArtifactRef, dataset: ArtifactRef | None = None) -> Artifact:
    """Publish `step.onnx` and `rollout.onnx`, or `policy.onnx`, with `io.yaml` and `cases.npz`.

    `dataset` is the source of the parity cases; None draws random ones.

    Raises:
        Blocked: The exported model returns NaN, or differs from the trained one.
    """

    def build(folder: Path) -> Json:
        from kinemill.dataset import load_dataset
        from kinemill.export.conformal import conform
        from kinemill.export.interface import describe, with_conformal
        from kinemill.export.step_files import write_model
        from kinemill.train import load_model
        from kinemill.train.warm_start import described

        source = open_ref(home, model)
        step = load_model(source)
        document = described(source)
        if task.learn.gives == "policy":
            from kinemill.export import policy

            interface = policy.describe(step, document["task"], document["dataset"])
            lineage = {"model": model.digest, **_environment_sources(task, home, dataset)}
            more = {"servos": document["servos"]} if document.get("servos") else {}
            summary = policy.write_policy(step, interface, folder, task.export, lineage, more)
            return to_json_value(summary)
        rows = load_dataset(home, dataset) if dataset else None
        interface = describe(document, step)
        if task.export.conformal:
            conformal = conform(step, interface, rows)
            conformal = replace(conformal, online=task.export.conformal == "online")
            interface = with_conformal(interface, conformal)
        lineage = {"model": model.digest}
        return to_json_value(write_model(step, interface, folder, task.export, rows, lineage))

    return get_or_build(home, "onnx_model", task.name, inputs(task, model, dataset), build)


def _environment_sources(task: Task, home: Home, dataset: ArtifactRef | None) -> dict[str, str]:
    """Return digests of the models that the environment of a policy uses."""
    if dataset is None or task.learn.from_logs:
        return {}
    lineage = read_card(open_ref(home, dataset)).lineage
    return {f"environment.{name}": value for name, value in lineage.items()}
