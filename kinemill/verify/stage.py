"""The stage `verification`: check exported files in a separate process and publish the results."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kinemill.errors import Blocked
from kinemill.process import surroundings
from kinemill.store import Artifact, ArtifactRef, Json, get_or_build, read_document, to_json_value
from kinemill.store.home import Home
from kinemill.task import NullReporter, Progress, Task
from kinemill.verify.job import Job, JobResult
from kinemill.verify.losses import Counted

VERSION = 29


def inputs(
    task: Task,
    onnx_model: ArtifactRef,
    model: ArtifactRef,
    dataset: ArtifactRef,
    references: ArtifactRef | None,
) -> Json:
    """Return the values on which the verification depends."""
    refs = {"onnx_model": onnx_model, "model": model, "dataset": dataset, "references": references}
    parts = task.part("verify") | {name: ref.digest for name, ref in refs.items() if ref}
    if task.learn.gives == "policy":
        parts |= {"metric": task.promote.metric, "margin": task.promote.margin}
        return parts | task.part("environment", "channels", "dt")

    counted = to_json_value(Counted.of(task.promote, task.verify.horizon))
    if task.control is not None and task.verify.closed_loop > 0:
        parts |= task.part("control", "channels", "dt")
    return parts | {"counted": counted}


def run(
    task: Task,
    home: Home,
    onnx_model: ArtifactRef,
    model: ArtifactRef,
    dataset: ArtifactRef,
    progress: Progress | None = None,
) -> Artifact:
    """Publish verification.json and report.html for an exported model or policy.

    The references of a dynamics model are built first if they do not exist.

    Args:
        task: task with `verify`, the horizon and the limit on latency; its `control`, if any, runs
            in closed loop.
        home: home with the artifacts.
        onnx_model: the exported model.
        model: the trained model or policy, for parity.
        dataset: dataset whose test split gives the errors, or the card of the environment.
        progress: object that receives messages.

    Raises:
        Blocked: The files cannot be run, or the process ended without a result.
    """
    references: ArtifactRef | None = None
    if task.learn.gives == "dynamics":
        from kinemill.selection.references import stage  # it imports polars

        references = stage.run(task, home, dataset).ref
    refs = onnx_model, model, dataset, references

    def build(folder: Path) -> Json:
        text = f"verifying the exported files of {task.name} in a separate process"
        (progress or NullReporter()).log_message(text)
        with tempfile.TemporaryDirectory(prefix="kinemill-verify-") as scratch:
            document = task.model_dump(mode="json", by_alias=True)
            result = Path(scratch) / "result.json"
            job = Job(os.getpid(), home.root, folder, result, document, *refs)
            return _run_process(task.name, job)

    key = inputs(task, *refs) | {"version": VERSION}
    return get_or_build(home, "verification", task.name, key, build)


def _run_process(task: str, job: Job) -> Json:
    file = job.result.with_name("job.json")
    file.write_text(json.dumps(to_json_value(job)))
    process = subprocess.run(
        [sys.executable, "-m", "kinemill.verify", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=surroundings() | {"OPENBLAS_NUM_THREADS": "1"},
    )
    if process.returncode or not job.result.is_file():
        last = "\n".join((process.stdout + process.stderr).strip().splitlines()[-20:])
        raise Blocked(
            f"{task}: verification",
            f"its process ended with code {process.returncode} and no verdict:\n{last}",
            expected="a verdict",
            fix="negative codes are signals; the lines above are the last of its output",
        )
    result = read_document(job.result, JobResult)
    if result.error is not None:
        error = result.error
        raise Blocked(error.where, error.problem, expected=error.expected, fix=error.fix)
    return to_json_value(result.summary)
