"""`make prove-gpu`: a failure is a row and not the end, and the same code runs on a CPU."""

import json
import time
from types import SimpleNamespace

import pytest
from torch.autograd import DeviceType

from benchmarks import _gpu_training, gpu
from benchmarks._gpu_cases import MLP, pendulums
from benchmarks._gpu_rows import Bench, NotRun, SectionOver


@pytest.fixture
def bench():
    return Bench("tested", [], is_toy=True, ends=time.monotonic() + 600.0)


def measure_failing(bench):
    with bench.case("fails"):
        message = "broken\nin two lines"
        raise ValueError(message)
    with bench.case("is missing"):
        message = "no such card"
        raise NotRun(message)
    with bench.case("works"):
        bench.row("works", 12.5, "Hz", goal="at least 10", is_reached=True)
    raise SectionOver


def test_a_failure_is_a_row_and_the_next_section_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "SECTIONS", dict.fromkeys(("first", "second"), measure_failing))
    report = gpu.prove(tmp_path, {}, is_toy=True)
    rows = [(row["section"], row["work"], row["status"]) for row in report["rows"]]
    statuses = [("fails", "failed"), ("is missing", "not run"), ("works", "passed")]
    assert rows == [(name, *status) for name in ("first", "second") for status in statuses]
    assert report["rows"][0]["note"] == "ValueError: broken"
    assert json.loads((tmp_path / "gpu.json").read_text()) == report
    table = gpu.as_table(report)
    assert "No GPU" in table
    assert "| works | 12.5 Hz | passed (goal: at least 10) |" in table


def test_the_limits_of_all_sections_fit_into_eight_minutes():
    assert set(gpu.SECONDS) == set(gpu.SECTIONS)
    assert sum(gpu.SECONDS.values()) < 8 * 60


def test_a_section_stops_before_the_next_case_when_its_time_is_over():
    late = Bench("tested", [], is_toy=True, ends=time.monotonic() - 1.0)
    with pytest.raises(SectionOver), late.case("late"):
        pytest.fail("the case began")
    assert [row["status"] for row in late.rows] == ["not run"]


def test_the_cases_of_training_run_on_a_cpu(bench, monkeypatch):
    monkeypatch.setattr(_gpu_training, "MODES", {"without waiting": _gpu_training.Mode({})})
    _gpu_training.measure_card(bench)
    _gpu_training._model(bench, pendulums(4, 60), "MLP 3x64", {"model": MLP}, (64,), 1.0)
    assert len(bench.rows) == 7
    assert {row["status"] for row in bench.rows} == {"measured"}


def test_the_time_of_kernels_counts_once_and_without_copies():
    def event(device, name, spent, *, annotated=False):
        about = {"device_type": device, "name": name, "self_device_time_total": spent}
        return SimpleNamespace(**about, is_user_annotation=annotated)

    events = [
        event(DeviceType.CPU, "aten::mm", 30.0),
        event(DeviceType.CUDA, "gemm", 30.0),
        event(DeviceType.CUDA, "Memcpy HtoD", 5.0),
        event(DeviceType.CUDA, "a step", 99.0, annotated=True),
    ]
    assert _gpu_training.kernel_time(events, on_gpu=True) == 30.0


@pytest.mark.slow  # compiles
def test_all_sections_run_on_a_cpu(tmp_path):
    report = gpu.prove(tmp_path, {}, is_toy=True)
    assert [row for row in report["rows"] if row["status"] == "failed"] == []
    assert {row["section"] for row in report["rows"]} == set(gpu.SECTIONS)
    assert len(report["rows"]) > 50
