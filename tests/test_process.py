"""Processes that end with the one that started them, and deferred imports."""

import subprocess
import sys

import psutil
import pytest

from kinemill.process import deferred_imports
from tests.conftest import ROOT

STARTER = """
import os, signal, subprocess, sys
{deaf}
kept = [sys.executable, "-m", "kinemill.process", str(os.getpid()), sys.executable, "-c"]
child = subprocess.Popen([*kept, "import time; print('up', flush=True); time.sleep(60)"],
                         stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
@pytest.mark.parametrize(
    "deaf",
    [
        "",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
    ],
)
def test_a_command_ends_when_its_parent_is_killed(deaf):
    code = STARTER.format(deaf=deaf)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        stored = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([stored], timeout=5)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_a_command_whose_parent_is_gone_does_not_start():
    removed = subprocess.Popen([sys.executable, "-c", ""])
    removed.wait()
    command = [sys.executable, "-m", "kinemill.process", str(removed.pid), sys.executable, "-c"]
    done = subprocess.run(
        [*command, "print('started')"], capture_output=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (1, b"")


def test_deferred_module_is_executed_at_its_first_use(tmp_path, monkeypatch):
    (tmp_path / "heavy_package.py").write_text("VALUE = 7\n")
    (tmp_path / "its_user.py").write_text("import heavy_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with deferred_imports("heavy_package"):
        from its_user import heavy_package  # pyright: ignore[reportMissingImports]
    assert "heavy_package" not in sys.modules
    assert heavy_package.VALUE == 7
    assert sys.modules["heavy_package"].VALUE == 7
    with deferred_imports("heavy_package"):  # it is imported already
        assert sys.modules["heavy_package"].VALUE == 7


def test_deferred_module_can_be_used_within_the_block():
    sys.modules.pop("colorsys", None)
    with deferred_imports("colorsys"):
        import colorsys

        assert colorsys.rgb_to_hsv(1.0, 0.0, 0.0) == (0.0, 1.0, 1.0)
    assert "colorsys" in sys.modules
