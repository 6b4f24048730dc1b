"""When the earlier decision on the same model is reused, and when it is decided again."""

from pathlib import Path

import pytest

from kinemill.register.reregistration import same_end, wishes
from kinemill.store import from_json_value, to_json_value
from kinemill.task import load_task
from kinemill.verify.document import Verification
from tests.register.conftest import verification


def changed(where, change):
    """Return a verification with one other value: `changed(("windows", "count"), 3)`."""
    document = inner = to_json_value(verification(0.1))
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = change
    return from_json_value(document, Verification, Path("verification.json"))


OTHERWISE = {
    "it failed": (("passed",), False),
    "out of parity": (("summary", "parity"), False),
    "another error": (("metrics", "nrmse", "model"), 0.12),
    "an error that is none": (("metrics", "nrmse", "model"), None),
    "another baseline": (("metrics", "test", "velocity", "rmse", "linear"), 0.5),
    "fewer windows": (("windows", "count"), 3),
    "a gate of its own failed": (("gates", 0, "passed"), False),
    "too slow": (("summary", "latency_ms", "p99"), 0.7),
    "it diverges": (("stability", "diverged"), 0.2),
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_another_end_is_seen(task, how):
    task = load_task(task.path, {"verify.latency_p99_ms": 0.5, "promote.max_diverged": 0.1})
    assert not same_end(task, verification(0.1), changed(*OTHERWISE[how]))


@pytest.mark.parametrize(
    "change",
    [
        (("more",), "than before"),
        (("metrics", "nrmse", "sindy"), 0.4),
        (("metrics", "nrmse", "model"), 0.1004),
        (("summary", "latency_ms", "p99"), 0.41),
    ],
)
def test_what_says_more_or_rounds_otherwise_is_the_same_end(task, change):
    task = load_task(task.path, {"verify.latency_p99_ms": 0.5})
    assert same_end(task, verification(0.1), changed(*change))


@pytest.mark.parametrize(
    "requests",
    [
        {"verify.latency_p99_ms": 0.2},
        {"promote.margin": 0.5},
        {"promote.approval": True},
        {"promote.interval": False},
        {"promote.beats": ["champion"]},
        {"promote.max_size": 1.0},
        {"promote.same_interface": False},
    ],
)
def test_of_whom_something_else_is_asked_is_judged_anew(task, requests):
    assert wishes(load_task(task.path, requests)) != wishes(task)
