"""A canary: some robots, selected by name, get a version before all others."""

from functools import partial

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput, Blocked
from kinemill.register import audit, canary
from kinemill.register.pulls import OfHome, pull
from kinemill.register.versions import find_version
from kinemill.runtime.canary import Canary, which_of
from kinemill.task import load_task
from kinemill.tracking import open_tracking

NAMES = [f"robot-{number}" for number in range(2000)]
start = partial(canary.start_canary, "cart")


@pytest.fixture
def waiting(with_champion, monkeypatch):
    """Version 1 is champion; version 2 passed every rule and waits for approval."""
    chain = with_champion()
    task = load_task(chain.task.path, {"promote.approval": True})
    assert chain.register(0.05, gain=0.6, champion=0.1, task=task).decision == "waiting"
    monkeypatch.setattr(canary, "serves", lambda *_: (True, "answered"))
    return chain


def test_the_share_is_of_the_names_and_grows_without_moving_anybody():
    limited, more = ({n for n in NAMES if Canary(4, s).takes("arm", n)} for s in (0.1, 0.4))
    assert len(limited) / len(NAMES) == pytest.approx(0.1, abs=0.02)  # 3 standard deviations
    assert len(more) / len(NAMES) == pytest.approx(0.4, abs=0.033)
    assert limited < more
    assert all(Canary(4, 1.0).takes("arm", name) for name in NAMES)
    others = {name for name in NAMES if Canary(5, 0.1).takes("arm", name)}
    assert len(limited & others) < len(limited) / 2  # another version begins with others
    # The same for ever: a robot that was taken by one kinemill is taken by the next.
    assert [n for n in NAMES[:20] if Canary(4, 0.1).takes("arm", n)] == FIRST


FIRST = ["robot-7", "robot-15"]  # `printf arm:4:robot-7 | sha256sum` begins with 17


def test_robots_in_the_share_get_it_the_others_the_champion_and_all_of_it_is_in_the_trail(
    waiting, tmp_path
):
    home = waiting.home
    bring = partial(pull, try_it=lambda _: (True, "answered"))

    def versions(robots):
        return [
            bring(OfHome(home, "cart", "@canary", robot), tmp_path / robot)["version"]
            for robot in robots
        ]

    assert versions(["a", "b"]) == [1, 1]  # there is none yet
    message = start(home, "@challenger", 0.5, why="ran well in the shadow")
    assert message == {"task": "cart", "version": 2, "share": 0.5, "champion": 1}
    selected = Canary(2, 0.5)
    inside = next(name for name in NAMES if selected.takes("cart", name))
    outside = next(name for name in NAMES if not selected.takes("cart", name))
    assert versions([inside, outside]) == [2, 1]
    notes = open_tracking(home).client.get_registered_model("cart").tags  # as a server tells them
    assert [which_of("cart", name, notes) for name in (inside, outside)] == [":2", "@champion"]
    start(home, ":2", 1.0)
    assert versions([inside, outside]) == [2, 2]
    canary.end_canary("cart", home, why="it shakes")
    assert versions([inside, outside]) == [1, 1]
    events = [(e.what, e.version, e.why) for e in audit(home, "cart").events]
    assert events[-3:] == [
        ("canary", 2, "50% of the robots: ran well in the shadow"),
        ("canary", 2, "100% of the robots"),
        ("canary ended", 2, "it shakes"),
    ]
    assert audit(home, "cart").gaps == []
    assert find_version(home, "cart", "@champion").number == 1


def test_only_what_passed_the_gate_and_answers_flies(waiting, monkeypatch):
    home = waiting.home
    waiting.register(0.2, gain=0.7, champion=0.1)  # refused
    with pytest.raises(BadInput, match="has not passed the gate"):
        start(home, ":3", 0.1)
    with pytest.raises(BadInput, match="has not passed the gate"):
        start(home, ":3", 0.1, force=True)  # and why?
    assert start(home, ":3", 0.1, force=True, why="the gate is wrong")["version"] == 3
    for wrong in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="above 0, at most 1"):
            start(home, ":2", wrong)
    with pytest.raises(BadInput, match="is champion"):
        start(home, "@champion", 0.1)
    monkeypatch.setattr(canary, "serves", lambda *_: (False, "ended with code -8"))
    with pytest.raises(Blocked, match="ended with code -8"):
        start(home, ":2", 0.1)
    assert canary.show_canary("cart", home)["version"] == 3
    canary.end_canary("cart", home)
    with pytest.raises(BadInput, match="has no canary"):
        canary.end_canary("cart", home)


def test_the_command_says_how_it_stands(waiting, monkeypatch):
    monkeypatch.setenv("KINEMILL_HOME", str(waiting.home.root))
    monkeypatch.setenv("KINEMILL_TASKS", str(waiting.task.path.parent))
    message = [
        CliRunner().invoke(app, ["model", "canary", *arguments]).output
        for arguments in (["cart"], ["cart:2", "--share", "0.1"], ["cart", "--stop"])
    ]
    assert message == [
        "cart: no canary; every robot gets version 1\n",
        "cart: 10% of the robots that pull @canary get version 2, the others version 1\n",
        "cart: no canary; every robot gets version 1\n",
    ]
