"""After a registration ends at any point, the champion resolves, and a rerun completes it once."""

import json
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest

from kinemill import runtime
from kinemill.register import fetch_bundle, list_versions
from kinemill.register.alias_switch import audit
from kinemill.store import fault_injection
from tests.conftest import ROOT

POINTS = ["uploaded", "created", "decided", "recorded", "promoted", "applied"]
BETTER = {"nrmse": 0.05, "gain": 0.6, "champion": 0.1}


def test_these_are_all_the_places():
    text = "".join(path.read_text() for path in (ROOT / "kinemill" / "register").glob("*.py"))
    assert sorted(re.findall(r'fault_point\("register\.(\w+)"\)', text)) == sorted(POINTS)


def _resolves(chain):
    folder = fetch_bundle("models:/cart@champion", chain.home)
    assert runtime.load(folder).history == 3


def _is_finished_once(chain):
    again = chain.register(**BETTER)
    versions = list_versions("cart", chain.home).versions
    aliases = {version.version: version.aliases for version in versions}
    assert aliases == {2: ["champion"], 1: []}
    assert (again.version, again.alias, again.decision) == (2, "champion", "champion")
    assert chain.register(**BETTER).status == "unchanged"
    result = audit(chain.home, "cart")
    done = [event for event in result.events if event.status == "done"]
    assert [(e.what, e.version, e.previous) for e in done] == [
        ("champion", 1, None),
        ("champion", 2, 1),
    ]
    # A decision that died before the alias moved is evaluated again.
    assert {event.status for event in result.events} <= {"done", "interrupted"}


@pytest.mark.parametrize("point", POINTS)
def test_a_full_disk_anywhere_leaves_a_champion_and_a_rerun_finishes_once(
    with_champion, point, monkeypatch
):
    chain = with_champion()
    monkeypatch.setattr(fault_injection, "_passed", Counter())
    monkeypatch.setenv(fault_injection.VARIABLE, f"error:register.{point}:1")
    with pytest.raises(OSError, match=f"register.{point}:1"):
        chain.register(**BETTER)
    _resolves(chain)
    monkeypatch.delenv(fault_injection.VARIABLE)
    _is_finished_once(chain)


CHILD = """
import json, sys
from pathlib import Path
from kinemill.store.home import Home
from kinemill.register import Produced, stage
from kinemill.task import load_task
from kinemill.store import ArtifactRef
from tests.register.conftest import Claims

task, home, refs = sys.argv[1:]
produced = Produced(**{name: ArtifactRef(**ref) for name, ref in json.loads(refs).items()})
stage.run(load_task(task), Home(Path(home)), produced, evidence=Claims(0.05, 0.1))
"""


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=pytest.mark.ci if point == "decided" else pytest.mark.slow)
        for point in POINTS
    ],
)
def test_killed_anywhere_it_leaves_a_champion_and_a_rerun_finishes_once(
    with_champion, point, monkeypatch
):
    chain = with_champion()
    produced = chain.produce(0.05, gain=0.6)
    refs = {name: ref.to_json() for name, ref in vars(produced).items() if ref}
    monkeypatch.setenv(fault_injection.VARIABLE, f"register.{point}:1")
    where = [str(chain.task.path), str(chain.home.root), json.dumps(refs)]
    done = subprocess.run([sys.executable, "-c", CHILD, *where], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    monkeypatch.delenv(fault_injection.VARIABLE)
    _resolves(chain)
    _is_finished_once(chain)
