import json
import os
import shutil
import subprocess
import sys

import onnx
import pytest
from safetensors.torch import save_file

from kinemill.errors import Blocked
from kinemill.export import stage as export
from kinemill.export.bundle import seal
from kinemill.reports.charts import number
from kinemill.selection import facts
from kinemill.store import SUMMARY, ArtifactRef, get_or_build, open_ref, read_json, to_json_value
from kinemill.task.export import Export
from kinemill.train.warm_start import FORMAT
from kinemill.verify import stage
from kinemill.verify.document import read_verification
from tests.conftest import verify_here
from tests.dataset.packing import write_packed
from tests.export.conftest import DESCRIPTION, random_step, task_of

pytestmark = pytest.mark.e2e


@pytest.fixture
def refs(home, pendulum, monkeypatch) -> dict[str, ArtifactRef]:
    """Publish a dataset and a model with random weights, as their stages do."""
    monkeypatch.setattr(facts, "HISTORIES", (1, 2))  # of references, which take seconds

    def dataset(folder):
        write_packed(folder, pendulum)
        return {}

    def model(folder):
        step = random_step("mlp")
        save_file(
            {name: v.contiguous() for name, v in step.state_dict().items()},
            folder / "weights.safetensors",
        )
        described = DESCRIPTION | {
            "learn": task_of({"type": "mlp"}, 4).part("learn")["learn"],
            "layout": step.layout.to_json(),
            "robots": ["pendulum"],
        }
        (folder / "model.json").write_text(json.dumps(FORMAT.stamp(described)))
        return {}

    return {
        "dataset": get_or_build(home, "dataset", "pendulum", {"of": "tests"}, dataset).ref,
        "model": get_or_build(home, "model", "pendulum", {"of": "tests"}, model).ref,
    }


@pytest.mark.ci
def test_files_are_judged_in_a_process_of_their_own_once(home, refs):
    task = task_of({"type": "mlp"}, 4)
    requests = Export(c99=True)
    task = task.model_copy(update={"export": requests})
    exported = export.run(task, home, refs["model"], refs["dataset"])
    assert export.run(task, home, refs["model"], refs["dataset"]).cached
    artifact = stage.run(task, home, exported.ref, refs["model"], refs["dataset"])
    assert artifact.summary["passed"] is True
    folder = open_ref(home, artifact.ref)
    document = read_verification(folder)
    assert to_json_value(document.metrics) == artifact.summary["metrics"]
    page = (folder / "report.html").read_text()
    assert "http" not in page
    again = stage.run(task, home, exported.ref, refs["model"], refs["dataset"])
    assert (again.cached, again.ref) == (True, artifact.ref)
    c99 = document.c99
    assert to_json_value(c99) == exported.summary["c99"]
    for message in (f"{c99.weights:,} bytes", f"{c99.multiplications:,}"):
        assert f">{message}</td>" in page
    assert f">{number(c99.latency_us.worst)} µs</td>" in page


@pytest.mark.ci
def test_a_process_without_a_verdict_says_its_last_words_and_publishes_nothing(home, refs):
    task = task_of({"type": "mlp"}, 4)
    exported = export.run(task, home, refs["model"]).ref
    (home.root / exported.path / "step.onnx").write_bytes(b"overwritten")
    with pytest.raises(
        Blocked, match=r"(?s)ended with code 1 and no verdict.*step.onnx: .*changed"
    ):
        stage.run(task, home, exported, refs["model"], refs["dataset"])
    assert not (home.store / "verification").exists()
    assert list((home.store / ".staging").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_process_does_not_outlive_who_asked_for_it(tmp_path):
    job = tmp_path / "job.json"
    ref = {"path": "store", "digest": "d"}
    refs = dict.fromkeys(("onnx_model", "model", "dataset", "references"), ref)
    paths = dict.fromkeys(("home", "folder", "result"), str(tmp_path))
    # Another process, as if the parent had died.
    job.write_text(json.dumps({"parent": os.getpid() + 1, "task": {}} | refs | paths))
    done = subprocess.run(
        [sys.executable, "-m", "kinemill.verify", str(job)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr  # it went before it did anything


@pytest.mark.ci
def test_files_that_cannot_be_run_block_and_the_lines_that_failed_are_named(
    home, refs, monkeypatch
):
    verify_here(monkeypatch)
    task = task_of({"type": "mlp"}, 4)
    whole = open_ref(home, export.run(task, home, refs["model"]).ref)

    def frozen(folder):
        for name in ("step.onnx", "rollout.onnx"):
            model = onnx.load(whole / name)
            for item in (*model.graph.input, *model.graph.output):
                item.type.tensor_type.shape.dim[0].dim_value = 1
            (folder / name).write_bytes(model.SerializeToString())
        shutil.copy(whole / "io.yaml", folder)
        seal(folder)
        return read_json(whole / SUMMARY)

    planted = get_or_build(home, "onnx_model", "pendulum", {"of": "a frozen batch"}, frozen).ref
    with pytest.raises(Blocked) as caught:
        stage.run(task, home, planted, refs["model"], refs["dataset"])
    message = str(caught.value)
    assert message.startswith("pendulum: verification: step.onnx interface: state is [1, 2], not")
    assert "rollout parity: batch of 7, held-out: [ONNXRuntimeError]" in message
    assert message.endswith("nothing was measured; export the model again")
    assert not (home.store / "verification").exists()
