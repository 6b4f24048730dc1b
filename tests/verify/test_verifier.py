import copy
import dataclasses
import html.parser
import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kinemill.export.bundle import seal
from kinemill.selection.references.fit import fit_references
from kinemill.store import to_json_value
from kinemill.task.promote import REFERENCES
from kinemill.task.verify import Verify
from kinemill.verify.document import read_verification
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.report import write
from kinemill.verify.verifier import run_checks, summary, verify_files
from tests.export.conftest import random_step, task_of

SETTINGS = Verify(horizon=10, stride=5)
ALL_PARITY = {"step parity", "rollout parity", "long rollout parity"}


def subject_of(folder, step, dataset, settings=SETTINGS, **more):
    return DynamicsSubject(folder, step, dataset, settings, **more)


@pytest.fixture(scope="module")
def step():
    return random_step("gru")


@pytest.fixture(scope="module")
def exported(step_folders):
    return step_folders["gru"]


@pytest.fixture(scope="module")
def subject(exported, step, pendulum):
    task = task_of({"type": "gru"}, 4).model_copy(update={"verify": SETTINGS})
    references = fit_references(task, pendulum, longest=1)
    return subject_of(exported, step, pendulum, references=references)


@pytest.fixture(scope="module")
def verdict(subject):
    return verify_files(subject)


def changed(exported, folder, change):
    """Publish a copy of the model with `change` applied to every large weight tensor."""
    for name in ("step.onnx", "rollout.onnx"):
        model = onnx.load(exported / name)
        change(model)
        onnx.save(model, folder / name)
    shutil.copy(exported / "io.yaml", folder)
    seal(folder)
    return folder


def on_head(edit):
    def change(model):
        (head,) = [t for t in model.graph.initializer if t.name.endswith("network.head.weight")]
        head.CopyFrom(numpy_helper.from_array(edit(numpy_helper.to_array(head)), head.name))

    return change


def failed(verdict):
    return {gate.name for gate in verdict.gates if not gate.passed}


def test_a_whole_model_passes_every_gate(verdict):
    assert failed(verdict) == set()
    assert verdict.passed
    assert {(row.call, row.probe) for row in verdict.parity} == {
        ("long rollout", "200 steps"),
        *(
            (what, probe)
            for what in ("step", "rollout")
            for probe in (
                "held-out",
                "held-out, 2 threads",
                "limits",
                "zeros",
                "extremes",
                "random",
            )
        ),
    }
    assert {row.batch for row in verdict.parity if row.probe == "held-out"} == {1, 7, 256}
    assert {row.tensor for row in verdict.nan} == {
        *("states", "past_actions", "actions"),
        *("state", "action", "carry_0"),
    }


def test_a_model_of_nan_fails_though_it_passes_the_checker(exported, step, pendulum, tmp_path):
    def spoil(weights):
        weights = weights.copy()
        weights[0, 0] = np.nan
        return weights

    folder = changed(exported, tmp_path, on_head(spoil))
    broken = subject_of(folder, step, pendulum)
    document = verify_files(broken)
    assert failed(document) == {*(*ALL_PARITY, "NaN stays in its row", "finite", "finite errors")}
    checks = document.summary
    assert (checks.passed, checks.parity, checks.precision) == (False, False, True)
    assert to_json_value(document)["metrics"]["nrmse"]["model"] is None  # JSON has no NaN
    write(broken, document, tmp_path)
    assert "Do not use it: " in (tmp_path / "report.html").read_text()


def test_a_state_that_never_moved_in_training_does_not_ask_for_equal_bits(exported, step, pendulum):
    std = pendulum.std.copy()
    std[1] = 0.0
    still = dataclasses.replace(pendulum, std=std)
    verdict = run_checks(subject_of(exported, step, still))
    assert failed(verdict) == set()


def test_a_bound_on_latency_is_a_gate_and_without_one_there_is_none(
    exported, step, pendulum, verdict, monkeypatch
):
    assert "latency" not in {gate.name for gate in verdict.gates}
    strict = Verify(horizon=10, stride=5, latency_p99_ms=1e-6)
    monkeypatch.setattr("kinemill.verify.latency.CALLS", 40)
    late = verify_files(subject_of(exported, step, pendulum, strict))
    assert failed(late) == {"latency"}


def test_the_document_has_what_a_run_prints(subject, verdict, tmp_path):
    write(subject, verdict, tmp_path)
    document, names = read_verification(tmp_path), {"model", *REFERENCES}
    assert list(document.metrics.test) == ["angle", "velocity"]
    for entry in document.metrics.test.values():
        assert set(entry.rmse) == names
    assert set(document.metrics.nrmse) == names
    times = document.summary.latency_ms
    assert 0 < times.p50 <= times.p99
    short = summary(document)
    assert short.passed is True
    assert short.metrics == document.metrics
    json.dumps(to_json_value(document), allow_nan=False)


class Links(html.parser.HTMLParser):
    """Collects tags, and the addresses that a browser would load."""

    def __init__(self):
        super().__init__()
        self.tags, self.outside = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.outside += [value for name, value in attrs if name in {"src", "href", "xlink:href"}]


def test_the_report_opens_offline_and_shows_everything(subject, verdict, tmp_path):
    write(subject, verdict, tmp_path)
    page = (tmp_path / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert {link[0] for link in links.outside} == {"#"}
    assert not links.tags & {"script", "link", "iframe", "object", "img"}
    assert "@import" not in page
    assert "http" not in page
    for words in (
        "Error over the prediction time",
        "Rollouts and measured values",
        "Worst episodes",
        "A reference is better",
    ):
        assert words in page
    # Two states: error growth, three rollouts each, and three of the action; then residuals by
    # themselves and with the input.
    assert page.count("<svg") == 2 + 3 * 2 + 3 + 2 + 2


def test_names_cannot_break_the_page(subject, verdict, pendulum, tmp_path):
    spiked = copy.deepcopy(pendulum)
    for episode in spiked.episodes:
        object.__setattr__(episode, "name", "<img src=x>.csv")
    write(dataclasses.replace(subject, dataset=spiked), verdict, tmp_path)
    links = Links()
    links.feed((tmp_path / "report.html").read_text())
    assert "img" not in links.tags
