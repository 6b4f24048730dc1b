"""The model that a run exports and registers: the trained one, or a reference that is better.

selected = select_model(task, home, trained, dataset, references)

All are measured on the validation split with the score of `kinemill.selection.validation_errors`. A
portfolio compared its winner with the same references before. A model that diverges on a recorded
episode is not selected.

A cached selection is returned without torch.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.errors import BadInput
from kinemill.selection.divergence import divergence
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    get_or_build,
    open_ref,
    publish_document,
    read_document,
    read_json,
    to_json_value,
)
from kinemill.store.home import Home
from kinemill.task import NullReporter, Progress, Task
from kinemill.task.portfolio import (
    RESULTS,
    SELECTION,
    TRAINED,
    CandidateResult,
    Selection,
    portfolio_results,
)
from kinemill.train import load_model
from kinemill.train.summary import ModelSummary, TrainedModel
from kinemill.train.warm_start import CURVES, DESCRIPTION, WEIGHTS

VERSION = 5
PICTURE = "loss.png"


def why_no_reference(task: Task) -> str:
    """Return why a reference cannot replace this task's model; "" if it can."""
    learn: Any = task.learn
    if not task.promote.allow_reference:
        return "promote.allow_reference is false"
    unsupported = {
        f"learn.ensemble: {learn.ensemble}": learn.ensemble > 1,
        f"learn.loss: {learn.loss}": learn.loss == "gaussian",
        f"learn.robots: {learn.robots}": learn.robots != "none",
    }
    named = [what for what, is_set in unsupported.items() if is_set]
    return ", ".join(f"a reference does not support {what}" for what in named)


def select_model(
    task: Task,
    home: Home,
    trained: Artifact,
    dataset: ArtifactRef,
    references: ArtifactRef,
    progress: Progress | None = None,
) -> tuple[Artifact, Selection]:
    """Return the model to export, and how it was selected.

    A selected reference is published as a trained model.

    Args:
        task: task with a dynamics model.
        home: home of the artifacts.
        trained: the trained model.
        dataset: dataset with the validation split.
        references: see `kinemill.selection.references`.
        progress: receives a message about the selection.
    """

    def build(folder: Path) -> Json:
        selection = _select(task, home, trained.ref, dataset, references)
        publish_document(folder / SELECTION, selection)
        return {"selected": selection.selected, "why": selection.why}

    inputs = {
        "trained": trained.ref.digest,
        "references": references.digest,
        "allowed": why_no_reference(task),
        "version": VERSION,
    }
    artifact = get_or_build(home, "selection", task.name, inputs, build)
    selection = read_document(open_ref(home, artifact.ref) / SELECTION, Selection)
    if not artifact.cached:
        (progress or NullReporter()).log_message(selection.text)
    if selection.selected == TRAINED:
        return trained, selection
    return _publish(task, home, trained.ref, artifact.ref, references, selection), selection


def _select(
    task: Task, home: Home, trained: ArtifactRef, dataset: ArtifactRef, references: ArtifactRef
) -> Selection:
    from kinemill.selection.references.published import load_references

    rows = load_dataset(home, dataset)
    folder = open_ref(home, trained)
    results = portfolio_results(folder)
    if why := why_no_reference(task):
        return Selection(TRAINED, why, results)
    members = load_references(home, references).items
    folders = {TRAINED: folder} | {
        name: member.folder for name, member in members.items() if member.folder is not None
    }
    if results:
        scores = {name: members[name].facts.score for name in folders.keys() - {TRAINED}}
        order = [TRAINED, *sorted(scores, key=lambda name: scores[name])]
        what = "the validation split" if results[0].held_out is None else "rows left out of its fit"
        why = f"the best candidate of the portfolio on {what}"
    else:
        results, why = _compare(task, rows, folders)
        order = [result.name for result in results if result.score is not None] or [TRAINED]
    diverging = list[str]()
    for name in order:
        where = divergence(load_model(folders[name]), rows)
        if not where:
            if diverging:
                why = f"the best candidate that does not diverge: {'; '.join(diverging)}"
            return Selection(name, why, results)
        diverging.append(f"{name} {where}")
    return Selection(order[0], f"all candidates diverge: {'; '.join(diverging)}", results)


def _compare(
    task: Task, rows: PackedDataset, folders: Mapping[str, Path]
) -> tuple[list[CandidateResult], str]:
    """Measure the trained model and the references on the validation split, the best first."""
    from kinemill.selection.cross_validation import HeldOut
    from kinemill.selection.portfolio.selection import Bars
    from kinemill.selection.validation_errors import ValidationRows, mean_errors, measured

    modules = {name: load_model(folder) for name, folder in folders.items()}
    history = max(module.rows for module in modules.values())
    try:
        validation = ValidationRows(rows, history, task.verify.horizon)
    except BadInput as error:
        empty = CandidateResult(TRAINED, "", 0, failure=str(error))
        return [empty], "the validation split is too short to compare it with references"
    held_out = list[HeldOut]()
    for name, module in modules.items():
        began = time.monotonic()
        errors = validation.errors_by_recording(module)
        result = measured(CandidateResult(name, "", 0), module, mean_errors(errors))
        held_out.append(HeldOut(replace(result, seconds=time.monotonic() - began), errors))
    results = [entry.result for entry in held_out]
    bars = Bars.of(results[1:])
    best = bars.select(held_out, by_score=False)
    ordered = [best, *(result for result in bars.order(results) if result is not best)]
    return ordered, _reason(ordered)


def _reason(ordered: Sequence[CandidateResult]) -> str:
    best, *others = ordered
    if not others or best.score is None:
        return "no reference can be exported"
    second = next((result for result in others if TRAINED in (best.name, result.name)), others[0])
    if second.score is None:
        return f"{second.name} diverges on the validation split"
    ratio = best.score / second.score
    text = f"{ratio:.3g} times the score of {second.name} on the validation split"
    return text if ratio <= 1.0 else f"{text}, within its noise, with fewer parameters"


def _publish(
    task: Task,
    home: Home,
    trained: ArtifactRef,
    selection: ArtifactRef,
    references: ArtifactRef,
    selected: Selection,
) -> Artifact:
    """Publish a reference as a trained model, with its name in the description."""

    def build(folder: Path) -> Json:
        from kinemill.selection.references.published import load_references

        member = load_references(home, references).items[selected.selected]
        source = member.folder
        if source is None:
            raise ValueError(f"{selected.selected} cannot be exported")
        about = {**read_json(source / DESCRIPTION), "reference": selected.selected}
        (folder / DESCRIPTION).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n")
        shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)
        for name in (CURVES, PICTURE, RESULTS):  # of the model that was trained in the same run
            if (path := open_ref(home, trained) / name).is_file():
                shutil.copyfile(path, folder / name)
        summary = ModelSummary(
            reference=selected.selected,
            parameters=sum(value.numel() for value in load_model(folder).parameters()),
            monitor="validation/score",
            best=member.facts.score,
            trained=TrainedModel(trained.path, trained.digest),
        )
        return to_json_value(summary)

    inputs = {"selection": selection.digest, "version": VERSION}
    return get_or_build(home, "model", task.name, inputs, build)
