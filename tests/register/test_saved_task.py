"""A version is evaluated with the task of its training, not with the current task file."""

import json

import pytest

from kinemill.api.models import load_simulator_of
from kinemill.errors import CorruptArtifact, TaskError
from kinemill.register import compare, promotion
from kinemill.register.saved_task import task_of
from kinemill.register.versions import find_version
from kinemill.task import load_task
from tests.register.conftest import WINDOWS

# States alternate 1, -1, so the model's nrmse is 1. The 40 rows of the test episode hold 12 windows
# of 3 + 4 rows, one every 3; with the horizon of the task file they hold fewer.
OVERRIDES = {"verify.horizon": 4, "verify.stride": 3, "promote.beats": []}
APPROVAL = {"promote.approval": True}


@pytest.fixture
def made(chain, monkeypatch):
    """A registry with a version that was made with overrides, and waits for approval."""
    overridden = load_task(chain.task.path, OVERRIDES | APPROVAL)
    registration = chain.register(1.0, task=overridden)
    assert registration.decision == "waiting"
    return chain


def _registered(chain, number=1):
    return find_version(chain.home, "cart", f":{number}")


def test_approving_measures_as_the_version_was_verified(made):
    decision = promotion.approve(made.task, made.home, ":1")
    lines = {line.rule: line for line in decision.gate}
    assert lines["measured"].passed, lines["measured"]
    assert lines["measured"].value.endswith(f"over {WINDOWS} windows after 3 rows of history")
    assert decision.decision == "champion"


def test_promoting_and_rolling_back_need_no_task_file_that_fits(made):
    promotion.approve(made.task, made.home, ":1")
    made.register(0.5, gain=0.7, task=load_task(made.task.path, OVERRIDES), champion=1.0)
    assert promotion.rollback(made.task, made.home).version == 1
    assert promotion.promote(made.task, made.home, ":2").aliases == ["champion"]


def test_evaluate_and_simulate_choose_the_task_of_the_version(made):
    selected = load_simulator_of("cart:1")
    assert (selected.task.verify.horizon, selected.task.verify.stride) == (4, 3)
    changed = load_simulator_of("cart:1", changed={"verify.horizon": 6})
    assert (changed.task.verify.horizon, changed.task.verify.stride) == (6, 3)
    own = load_task(made.task.path, {"verify.horizon": 6})
    bare = load_simulator_of(selected.folder, own)  # a folder has no recorded task
    assert bare.task.verify.stride == made.task.verify.stride
    with pytest.raises(TaskError, match=r"task of models:/cart/1: verify\.horizn: unknown"):
        load_simulator_of("cart:1", changed={"verify.horizn": 6})


def test_compare_measures_over_the_horizon_of_the_version(made, monkeypatch):
    from kinemill.register import version_comparison

    made.register(0.9, gain=0.7, task=load_task(made.task.path, OVERRIDES | APPROVAL))
    monkeypatch.setattr(
        version_comparison, "find_dataset", lambda *_: _Subject(made.produce().dataset)
    )
    document = compare(made.task, made.home, ":1", ":2")
    assert (document.windows.horizon, document.windows.count) == (4, 12)  # of 3 + 4 rows


class _Subject:
    number = 1

    def __init__(self, ref):
        self.ref = ref


def test_the_task_is_whole_and_its_digest_is_checked(made):
    version = _registered(made)
    assert task_of(made.home, made.task, version).promote.approval
    (path,) = (made.home.audit_logs / "cart" / "tasks").glob("*.json")
    content = json.loads(path.read_text())
    content["verify"]["horizon"] = 5
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptArtifact, match="is not the task that the version was made with"):
        task_of(made.home, made.task, version)
    path.unlink()  # of a version that another client made there is none
    assert task_of(made.home, made.task, version) == made.task
