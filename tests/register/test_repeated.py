"""When a model that comes again was decided on before, and when it has to be judged anew."""

import copy
import json

import pytest

from kinemill.register import tags
from kinemill.register.repeated import asked_the_same, same_end, wishes
from kinemill.register.versions import Version
from kinemill.spec import load_task
from tests.register.conftest import verification


def changed(where, change):
    """A verification with one value otherwise: `changed(("windows", "count"), 3)`."""
    document = copy.deepcopy(verification(0.1))
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = change
    return document


OTHERWISE = {
    "it failed": (("passed",), False),
    "out of parity": (("verification", "parity"), False),
    "another error": (("metrics", "nrmse", "model"), 0.12),
    "an error that is none": (("metrics", "nrmse", "model"), None),
    "another baseline": (("metrics", "test", "velocity", "linear"), 0.5),
    "fewer windows": (("windows", "count"), 3),
    "a gate of its own failed": (("gates", 0, "passed"), False),
    "too slow": (("verification", "latency_ms", "p99"), 0.7),
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
        (("verification", "latency_ms", "p99"), 0.41),
    ],
)
def test_what_says_more_or_rounds_otherwise_is_the_same_end(task, change):
    task = load_task(task.path, {"verify.latency_p99_ms": 0.5})
    assert same_end(task, verification(0.1), changed(*change))


def version(task, *, noted):
    """A version that was judged as the task asks."""
    promote = task.promote
    beats = [f"beats_{name}" for name in promote.beats]
    wanted = f"<= 0.2 (linear: 0.3, margin {promote.margin:g})"
    gate = [*beats, *(f"interval_{name}" for name in promote.beats), "interface", "measured"]
    lines = [{"rule": rule, "passed": True, "found": 0.1, "wanted": wanted} for rule in gate]
    carried = {tags.GATE: json.dumps(lines)} | ({tags.WISHES: wishes(task)} if noted else {})
    return Version("cart", 1, (), "", None, "", "", carried)


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize(
    "asked",
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
def test_of_whom_something_else_is_asked_is_judged_anew(task, asked, noted):
    before = version(task, noted=noted)
    assert asked_the_same(before, task)
    assert not asked_the_same(before, load_task(task.path, asked))
