"""The stages of a run on a terminal, and as lines in a pipe."""

import io
from types import SimpleNamespace

import dagster as dg
import pytest
from rich.console import Console

from kinemill.tracking.throughput import Pace, Throttle
from kinemill_dagster.pipelines.server import console as views
from kinemill_dagster.pipelines.server.console import LineView, LiveView


def drawn(note, state="running"):
    """Pattern of the console line of the model stage."""
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    view = LiveView(console, ["model"])
    view.stages.states["model"], view.stages.notes["model"] = state, note
    console.print(view.draw())
    return next(line for line in console.file.getvalue().splitlines() if " model " in line)


def test_training_shows_a_bar_with_rate_and_remaining_time():
    line = drawn("model 150/500 24.1 steps/s, 6,170 windows/s, 0:15 left; train/loss 0.005")
    assert "━━━━━━" in line
    assert "24.1 steps/s, 6,170 windows/s, 0:15 left" in line


def test_stage_without_a_count_or_finished_has_no_bar():
    assert "━" not in drawn("training runs in process 12")
    assert "━" not in drawn("model 500/500 done", "done")


def test_pipe_gets_a_progress_line_each_10_s(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(views, "Throttle", lambda: Throttle(lambda: now[0]))
    monkeypatch.setattr(views, "Pace", lambda: Pace(lambda: now[0]))
    console = Console(file=io.StringIO(), width=40)
    view = LineView(console, ["recordings", "model"])

    def hear(asset, message, at):
        now[0] = at
        key = f"tiny__{asset}"
        view.listen(SimpleNamespace(step_key=key, user_message=message, dagster_event=None))

    for second in range(25):
        hear("model", f"model {second}/3000 1 steps/s, 0:49 left; train/loss 0.5", float(second))
    for done in range(0, 101, 20):
        hear("recordings", f"ingest {done}/100 a.csv", 30.0 + done)
    hear("recordings", "waiting for the lock 'ingest': held by ann", 140.0)
    hear("recordings", "what only the log of the run says", 140.0)
    assert console.file.getvalue().splitlines() == [
        "model            10/3000  1 steps/s, 0:49 left; train/loss 0.5",
        "model            20/3000  1 steps/s, 0:49 left; train/loss 0.5",
        *(
            f"recordings       {done}/100  1/s, {remaining}a.csv"
            for done, remaining in [
                (20, "1:20 left; "), (40, "1:00 left; "), (60, "0:40 left; "),
                (80, "0:20 left; "), (100, ""),
            ]
        ),
        "recordings       waiting for the lock 'ingest': held by ann",
    ]  # fmt: skip


@pytest.mark.parametrize(("signal", "state"), [(15, "stopped"), (None, "failed")])
def test_stage_ended_by_a_signal_is_stopped_not_failed(monkeypatch, signal, state):
    monkeypatch.setattr(views, "SIGNALS", SimpleNamespace(received=signal))
    console = Console(file=io.StringIO(), width=40)
    view = LineView(console, ["model"])

    def hear(message, kind):
        event = SimpleNamespace(event_type=kind) if kind else None
        view.listen(
            SimpleNamespace(step_key="tiny__model", user_message=message, dagster_event=event)
        )

    hear("", dg.DagsterEventType.STEP_START)
    hear("model 200/1200 18.6 steps/s", None)
    hear("[pipes] did not receive closed message from external process.", None)
    hear("", dg.DagsterEventType.STEP_FAILURE)
    line = console.file.getvalue().splitlines()[-1]
    assert line.startswith(f"model            {state}")
    assert line.endswith("model 200/1200 18.6 steps/s")


def test_run_that_waits_for_a_slot_says_so_in_a_pipe():
    console = Console(file=io.StringIO(), width=40)
    view = LineView(console, ["model"])
    for metadata in ({"pool": "cpu"}, {}):
        event = SimpleNamespace(
            event_type=dg.DagsterEventType.ENGINE_EVENT,
            engine_event_data=SimpleNamespace(metadata=metadata),
        )
        view.listen(SimpleNamespace(step_key="tiny__model", dagster_event=event))
    line = "model            waits for another training to end"
    assert console.file.getvalue().splitlines() == [line]


ESTIMATE = "20 steps/s: the training up to step 900 takes about 45 s"
STATISTICS = "statistics at step 64: return 2 std 1\n            mean\ntrain return  1"


def hear_statistics(view):
    for message in (ESTIMATE, "model 64/128 20 steps/s", STATISTICS):
        view.listen(
            SimpleNamespace(step_key="tiny__model", user_message=message, dagster_event=None)
        )


def test_evaluations_are_lines_in_a_pipe_and_a_table_in_a_terminal():
    console = Console(file=io.StringIO(), width=120)
    view = LineView(console, ["model"])
    hear_statistics(view)
    estimate, last = console.file.getvalue().splitlines()
    assert estimate == f"model            {ESTIMATE}"
    assert last == STATISTICS.splitlines()[0]
    assert "std 1" in console.file.getvalue()
    assert "train return" not in console.file.getvalue()
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    live = LiveView(console, ["model"])
    hear_statistics(live)
    assert console.file.getvalue().splitlines() == STATISTICS.splitlines()
    assert live.stages.notes["model"] == "model 64/128 20 steps/s"  # which the bar is drawn from
