"""The verification process: `python -m kinemill.verify JOB.json`, started by `stage.run`."""

import sys
from functools import partial
from pathlib import Path

from kinemill.errors import Blocked
from kinemill.process import exit_with_parent, tune_process
from kinemill.store import Home, open_ref, publish_document, read_document
from kinemill.task.document import Task
from kinemill.verify.document import ModelKind, VerificationSummary
from kinemill.verify.stage import Job, JobError, JobResult
from kinemill.verify.subject import Subject


def main(file: Path) -> None:
    """Run the job in `file`, and write its result or error."""
    job = read_document(file, Job)
    exit_with_parent(job.parent)
    tune_process()

    import torch

    torch.set_num_threads(1)
    try:
        result = JobResult(_verify(job))
    except Blocked as error:
        parts = error.where, error.problem, error.expected, error.fix
        result = JobResult(None, JobError(*parts))
    publish_document(job.result, result)


def _verify(job: Job) -> VerificationSummary:
    from kinemill.verify.report import write
    from kinemill.verify.verifier import summary, verdict_document, verify_files

    task = Task.model_validate(job.task)
    policy = task.learn.gives == "policy"
    subject = _policy_subject(job, task) if policy else _dynamics_subject(job, task)
    verdict = verify_files(subject)
    document = verdict_document(verdict)
    write(verdict, document, job.folder)
    return summary(document)


def _policy_subject(job: Job, task: Task) -> Subject:
    from kinemill.environments.card import open_card
    from kinemill.export.policy import describe
    from kinemill.export.summary import ExportSummary
    from kinemill.train import load_model
    from kinemill.train.demonstrations import Demonstrations
    from kinemill.train.warm_start import described
    from kinemill.verify.policies.subject import PolicySubject

    home = Home(job.home)
    source = open_ref(home, job.model)
    module = load_model(source)
    about = described(source)
    trained = describe(module, about["task"], about["dataset"])
    folder = open_ref(home, job.onnx_model)
    subject = partial(
        PolicySubject,
        folder=folder,
        module=module,
        trained=trained,
        source=source,
        exported_summary=ExportSummary.read_folder(folder),
    )
    if task.learn.from_logs:
        return subject(task, demonstrations=Demonstrations.open(home, job.dataset))
    return subject(open_card(home, job.dataset).task(task))


def _dynamics_subject(job: Job, task: Task) -> Subject:
    from kinemill.dataset import load_dataset
    from kinemill.export.interface import describe
    from kinemill.export.summary import ExportSummary
    from kinemill.train import load_model
    from kinemill.train.warm_start import described, kind_of
    from kinemill.verify.closed_loop import closed_loop
    from kinemill.verify.dynamics import DynamicsSubject
    from kinemill.verify.losses import Counted
    from kinemill.verify.overfitting import fitting_in
    from kinemill.verify.references import load_references

    home = Home(job.home)
    folder = open_ref(home, job.onnx_model)
    trained = open_ref(home, job.model)
    step = load_model(trained)
    about = described(trained)
    looped, motion = closed_loop(task, folder) or (None, "")
    return DynamicsSubject(
        folder=folder,
        step=step,
        dataset=load_dataset(home, job.dataset),
        settings=task.verify,
        trained=describe(about, step),
        fit_diagnosis=fitting_in(trained),
        closed_loop=looped,
        motion=motion,
        exported_summary=ExportSummary.read_folder(folder),
        model=ModelKind(**kind_of(about)),
        references=load_references(home, job.references) if job.references else None,
        counted=Counted.of(task.promote, task.verify.horizon),
        pairs={
            name: parent
            for name in task.states
            if (parent := task.channels[name].derivative_of) in task.states
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
