"""Start the judging process, and publish what it wrote."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import kinemill
from kinemill.errors import Blocked
from kinemill.store import Artifact, ArtifactRef, Json, get_or_build, read_json
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter, Progress

VERSION = 12
POLICIES = 3  # version of how policies are judged


def verify(
    task: Task,
    home: Home,
    onnx_model: ArtifactRef,
    model: ArtifactRef,
    dataset: ArtifactRef,
    progress: Progress | None = None,
) -> Artifact:
    """Publish verification.json and report.html about an exported model or policy.

    What a model of dynamics is compared with, its references, is built first if it is not there.

    Args:
        task: its `verify` part says over which horizon, and how quick the model has to be; its
            `control` part, if there is one, what to try in closed loop.
        home: where the refs lie.
        onnx_model: what is judged.
        model: the trained step or policy, to compare with.
        dataset: its test split is what errors are measured on; or the card of the environment.
        progress: who hears the process's messages.

    Raises:
        Blocked: the files cannot be run as promised, or the process ended without a verdict.
    """
    gives = task.learn.gives
    looped = gives == "dynamics" and task.control is not None and task.verify.closed_loop > 0
    message = task.part("control", "channels", "dt") if looped else {}
    if gives == "policy":
        message = task.part("environment", "channels", "dt") | {"policies": POLICIES}
    refs = {"onnx_model": onnx_model, "model": model, "dataset": dataset}
    counted: Json = {}
    if gives == "dynamics":
        from kinemill.verify.losses import Counted
        from kinemill.verify.references import build_references  # which imports polars

        counted = {"counted": Counted.of(task.promote, task.verify.horizon).to_json()}
        refs["references"] = build_references(task, home, dataset).ref
    inputs = {
        **{name: ref.digest for name, ref in refs.items()},
        **task.part("verify"),
        **message,
        **counted,
        "version": VERSION,
    }

    def build(folder: Path) -> Json:
        job = {name: ref.to_json() for name, ref in refs.items()} | task.part("verify")
        job |= {"task": task.model_dump(mode="json", by_alias=True) if message else None}
        job |= {"home": str(home.root), "folder": str(folder), "parent": os.getpid()}
        job |= {"gives": gives} | counted
        (progress or NullReporter()).say(
            f"judging the exported files of {task.name} in a process of their own"
        )
        return _run(task.name, job)

    return get_or_build(home, "verification", task.name, inputs, build)


def _run(task: str, job: Json) -> Json:
    with tempfile.TemporaryDirectory(prefix="kinemill-verify-") as scratch:
        file, answer = Path(scratch) / "job.json", Path(scratch) / "summary.json"
        file.write_text(json.dumps(job | {"answer": str(answer)}))
        done = subprocess.run(
            [sys.executable, "-m", "kinemill.verify", str(file)],
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
        if done.returncode or not answer.is_file():
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
            raise Blocked(
                f"{task}: verification",
                f"its process ended with code {done.returncode} and no verdict:\n{last}",
                expected="a verdict",
                fix="negative codes are signals; the lines above are the last it wrote",
            )
        found = read_json(answer)
        if "refused" in found:
            where, what, expected, fix = found["refused"]
            raise Blocked(where, what, expected=expected, fix=fix)
        return found


def _environment() -> dict[str, str]:
    """Return this environment, with this kinemill on the path and one thread for arithmetic."""
    root = str(Path(kinemill.__file__).resolve().parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
