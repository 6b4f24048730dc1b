"""Ratio of the errors of a model and a reference: on validation data, and on a held-out recording.

Each recording of the double pendulum is the test recording once. Model and reference learn from the
others, with the settings of the task, and validation is the last tenth of each training recording.
The ratio of the two errors is measured on both: `python -m benchmarks.prove_validation`.
"""

import tempfile
from pathlib import Path

from benchmarks import EXAMPLES, _proof
from kinemill import runtime
from kinemill.augment import stage as augment
from kinemill.dataset import load_dataset
from kinemill.export import stage as export
from kinemill.store import open_ref
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import stage as train
from kinemill.verify.accuracy import evaluate
from kinemill.verify.references import load_references, stage

DATA = _proof.DATA / "double_pendulum_sysid"
RECORDINGS = ("00", "01", "02", "03", "04", "12")
REFERENCE = "physics"
QUIET = NullReporter()


def ratios(home: Home, recording: str) -> dict[str, float]:
    """Return error of the trained model / error of the reference at the horizon, by split."""
    task = load_task(
        EXAMPLES / "double_pendulum.yaml",
        {"dataset.test": [f"*traj{recording}*"], "learn.compile": "off"},
    )
    dataset = _proof.dataset_of(task, home, DATA)
    training_set = augment.run(task, home, dataset).ref
    model = train.run(task, home, dataset, training_set, (QUIET, QUIET)).ref
    references_ = load_references(home, stage.run(task, home, dataset).ref)
    trained = runtime.load(open_ref(home, export.run(task, home, model, dataset).ref))
    reference, rows = references_.items[REFERENCE].strongest, load_dataset(home, dataset)
    history = max(trained.history, reference.history)
    result: dict[str, float] = {}
    for split in ("validation", "test"):
        errors = [
            evaluate(one, rows, split, [task.verify.horizon], task.verify.stride, history)
            for one in (trained, reference)
        ]
        result[split] = errors[0].nrmse / errors[1].nrmse
    return result


def main() -> None:
    """Measure every recording and rewrite the section `validation` of docs/results-*.md."""
    lines = list[list[str]]()
    for recording in RECORDINGS:
        with tempfile.TemporaryDirectory() as folder:
            result = ratios(Home(Path(folder)), recording)
        lines.append([recording, *(f"{result[split]:.2f}" for split in ("validation", "test"))])
    head = ["on the ends of the training recordings", "on the left-out recording"]
    _proof.write("validation", _proof.table(["left out", *head], lines))


if __name__ == "__main__":
    main()
