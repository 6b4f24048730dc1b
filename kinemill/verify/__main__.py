"""The judging process: `python -m kinemill.verify JOB.json`, started by `verify`."""

import json
import sys
from pathlib import Path

from kinemill.errors import Blocked
from kinemill.process import exit_with_parent, tune_process
from kinemill.runtime import load
from kinemill.store import SUMMARY, ArtifactRef, Json, open_ref, publish_json, read_json
from kinemill.store.home import Home


def main(file: Path) -> None:
    """Do the job that `file` describes and write its answer, or why there is none."""
    job = json.loads(file.read_bytes())
    exit_with_parent(job["parent"])
    tune_process()

    import torch

    torch.set_num_threads(1)
    try:
        answer = _judged(job)
    except Blocked as error:
        answer = {"refused": [error.where, error.problem, error.expected, error.fix]}
    publish_json(Path(job["answer"]), answer)


def _judged(job: Json) -> Json:
    return _judged_policy(job) if job["gives"] == "policy" else _judged_step(job)


def _judged_policy(job: Json) -> Json:
    from kinemill.verify.policies.document import summary, verdict_document
    from kinemill.verify.policies.evaluate_files import judge
    from kinemill.verify.policies.report import write
    from kinemill.verify.policies.subject import subject_of

    verdict = judge(subject_of(job))
    document = verdict_document(verdict)
    write(verdict, document, Path(job["folder"]))
    return summary(document)


def _judged_step(job: Json) -> Json:
    from kinemill.dataset import load_dataset
    from kinemill.export.interface import describe
    from kinemill.task.document import Task
    from kinemill.task.verify import Verify
    from kinemill.train import load_model
    from kinemill.train.warm_start import described, kind_of
    from kinemill.verify.document import summary, verdict_document
    from kinemill.verify.evaluate_files import judge
    from kinemill.verify.losses import Counted
    from kinemill.verify.overfitting import fitting_in
    from kinemill.verify.references import load_references
    from kinemill.verify.report import write
    from kinemill.verify.run_checks import Subject

    home = Home(Path(job["home"]))
    onnx_model, model, dataset, references = (
        ArtifactRef.from_json(job[name])
        for name in ("onnx_model", "model", "dataset", "references")
    )
    folder, rows = open_ref(home, onnx_model), load_dataset(home, dataset)
    trained = open_ref(home, model)
    step, about = load_model(trained), described(trained)
    looped, motion = None, ""
    if job["task"] is not None:
        from kinemill.verify.closed_loop import closed_loop

        looped, motion = closed_loop(Task.model_validate(job["task"]), folder) or (None, "")
    verdict = judge(
        Subject(
            load(folder, non_finite="pass"),
            folder,
            step,
            rows,
            Verify.model_validate(job["verify"]),
            describe(about, step),
            fitting_in(trained),
            looped,
            motion,
            read_json(folder / SUMMARY),
            kind_of(about),
            load_references(home, references),
            Counted.from_json(job["counted"]),
        )
    )
    document = verdict_document(verdict)
    write(verdict, document, rows, Path(job["folder"]))
    return summary(document)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
