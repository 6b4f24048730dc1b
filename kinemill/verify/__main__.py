"""The verification process: `python -m kinemill.verify JOB.json`, started by `stage.run`."""

import sys
from pathlib import Path

from kinemill.errors import Blocked
from kinemill.process import exit_with_parent, tune_process
from kinemill.store import publish_document, read_document
from kinemill.task.document import Task
from kinemill.verify.document import VerificationSummary
from kinemill.verify.job import Job, JobError, JobResult
from kinemill.verify.subject import KINDS


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
    from kinemill.verify.verifier import summary, verify_files

    task = Task.model_validate(job.task)
    subject = KINDS[task.learn.gives].subject(job, task)
    document = verify_files(subject)
    write(subject, document, job.folder)
    return summary(document)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
