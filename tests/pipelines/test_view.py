"""The stages of a run on a terminal."""

import io

from rich.console import Console

from pipelines.view import LiveView


def drawn(note, state="running"):
    """What the line of the model's stage looks like."""
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    view = LiveView(console, ["model"])
    view.stages.states["model"], view.stages.notes["model"] = state, note
    console.print(view.draw())
    return next(line for line in console.file.getvalue().splitlines() if " model " in line)


def test_a_training_shows_a_bar_its_pace_and_the_time_left():
    line = drawn("model 150/500 24.1 steps/s, 6,170 windows/s, 0:15 left; train/loss 0.005")
    assert "━━━━━━" in line
    assert "24.1 steps/s, 6,170 windows/s, 0:15 left" in line


def test_what_counts_nothing_and_what_is_over_has_no_bar():
    assert "━" not in drawn("training runs in process 12")
    assert "━" not in drawn("model 500/500 done", "done")
