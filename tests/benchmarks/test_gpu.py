"""`make prove-gpu`: a failure is a row and not the end, and the same code runs on a CPU."""

import json
import time
from types import SimpleNamespace

import pytest
from torch.autograd import DeviceType

from benchmarks import _gpu_training, gpu
from benchmarks._gpu_cases import MLP, pendulums
from benchmarks._gpu_rows import Bench, SectionOver

FAILING = {
    "fails": gpu.Section("tests.benchmarks.failing_section", 0.25),
    "ends": gpu.Section("tests.benchmarks.ending_section", 60.0),
}


@pytest.fixture
def bench(tmp_path):
    return Bench("tested", tmp_path / "rows.jsonl", is_toy=True, ends=time.monotonic() + 600.0)


def rows_of(bench):
    return [json.loads(line) for line in bench.report.read_text().splitlines()]


def test_a_failure_a_hang_and_a_crash_are_rows_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "SECTIONS", FAILING)
    monkeypatch.setattr(gpu, "GRACE", 0.5)
    report = gpu.prove(tmp_path, 60.0, is_toy=True)
    statuses = [(row["section"], row["work"], row["status"]) for row in report["rows"]]
    assert statuses == [
        ("fails", "fails", "failed"),
        ("fails", "is missing", "not run"),
        ("fails", "works", "passed"),
        ("fails", "whole section", "failed"),
        ("ends", "works", "measured"),
        ("ends", "whole section", "failed"),
    ]
    notes = [row["note"] for row in report["rows"]]
    assert notes[0] == "ValueError: broken"
    assert notes[3] == "killed after 2 s"
    assert notes[5] == "ended with 3: the driver is gone"
    assert json.loads((tmp_path / "gpu.json").read_text()) == report
    table = (tmp_path / "gpu.md").read_text()
    assert "No GPU" in table
    assert "| works | 12.5 Hz | passed (goal: at least 10) |" in table


def test_no_section_starts_without_time(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "SECTIONS", FAILING)
    report = gpu.prove(tmp_path, 10.0, is_toy=True)
    assert [row["note"] for row in report["rows"]] == ["the time was over"] * 2


def test_the_limits_of_all_sections_fit_into_the_whole_time():
    assert sum(section.seconds for section in gpu.SECTIONS.values()) <= gpu.TOTAL
    assert gpu.TOTAL <= 8 * 60


def test_a_section_stops_before_the_next_case_when_its_time_is_over(tmp_path):
    late = Bench("tested", tmp_path / "rows.jsonl", is_toy=True, ends=time.monotonic() - 1.0)
    with pytest.raises(SectionOver), late.case("late"):
        pytest.fail("the case began")
    assert [row["status"] for row in rows_of(late)] == ["not run"]


def test_the_cases_of_training_run_on_a_cpu(bench, monkeypatch):
    monkeypatch.setattr(_gpu_training, "MODES", {"without waiting": _gpu_training.Mode({})})
    _gpu_training.measure_card(bench)
    _gpu_training._model(bench, pendulums(4, 60), "MLP 3x64", {"model": MLP}, (64,), 1.0)
    rows = rows_of(bench)
    assert len(rows) == 7
    assert {row["status"] for row in rows} == {"measured"}


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


@pytest.mark.slow  # starts a dozen processes and compiles
def test_all_sections_run_on_a_cpu(tmp_path):
    report = gpu.prove(tmp_path, 3600.0, is_toy=True)
    failed = [row for row in report["rows"] if row["status"] == "failed"]
    assert failed == []
    assert {row["section"] for row in report["rows"]} == set(gpu.SECTIONS)
    assert len(report["rows"]) > 50
