"""Ctrl-C and SIGTERM: one line, the exit code 130 or 143, no traceback and no process left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kinemill_dagster.resources.processes import wait_for
from tests.terminal import CTRL_C, Terminal

ROOT = Path(__file__).resolve().parents[1]

# `kinemill` with a command that does something else. It sleeps in short naps, because a signal
# between Python's check for signals and the system call is handled only after the call.
COMMAND = """
import os, sys, time
sys.path.insert(0, {root!r})
sys.argv[0] = "kinemill"
import kinemill.cli.app as app
def sleep(seconds):
    for _ in range(int(seconds * 10)):
        time.sleep(0.1)
def work():
    pass
{body}
app.app = work
from kinemill.cli import main
main()
"""
IN_DAGSTER = """
    import dagster as dg
    from tests.dagster_internals import raise_execution_interrupts
    with raise_execution_interrupts():
        os.write(1, b"ready\\n")
        sleep(60)
"""
SLEEP = """
    os.write(1, b"ready\\n")
    sleep(60)
"""
TO_EXCEPTION = """
    try:
        os.write(1, b"ready\\n")
        sleep(60)
    except BaseException as error:
        raise RuntimeError("what a library makes of it") from error
"""
PROMPT = """
    import typer
    typer.prompt("ready", hide_input=True)
"""
IN_DESTRUCTOR = """
    class Slow:
        def __del__(self):
            os.write(1, b"ready\\n")
            sleep(5)
    one = Slow()
    del one
    sleep(60)
"""
SMALL_LOGS = """
    from kinemill.parallel import in_processes
    for done in in_processes(time.sleep, [0.3] * 400):
        os.write(1, b"ready\\n")
"""
ENVIRONMENTS = """
    from kinemill.parallel import worker_pool
    from kinemill.process import without_ctrl_c
    with worker_pool(2) as pool:
        with without_ctrl_c():
            jobs = [pool.submit(time.sleep, seconds) for seconds in (0.1, 60, 60, 60)]
        jobs[0].result()
        os.write(1, b"ready\\n")
        jobs[1].result()
"""
DEAF_CLEANING = """
    from kinemill.interrupts import message_on_interrupt
    try:
        with message_on_interrupt(lambda: "two trials are kept"):
            os.write(1, b"ready\\n")
            sleep(60)
    finally:
        print("cleaning", flush=True)
        sleep(60)
"""


def script(body):
    return COMMAND.format(root=str(ROOT), body=body)


def opened(body):
    """The command on a terminal, once it has said that it is ready."""
    terminal = Terminal.start("-c", script(body), "run", "my task")
    terminal.read_until("ready\r\n" if body is not PROMPT else "ready")
    if body is PROMPT:
        time.sleep(0.2)  # Python misses a signal between its check and the read, until the next key
    return terminal


def is_one_line(terminal, name="Ctrl-C"):
    """Whether what came after the signal is the one line, and the terminal is as it was."""
    lines = terminal.text.replace("^C", "").replace("\x1b[?25h", "").split("\r\n")
    message = [line for line in lines if line.strip() and line != "ready"]
    assert "Traceback" not in terminal.text
    assert "Warning" not in terminal.text
    assert message[-1].startswith(f"stopped by {name}: "), terminal.text
    assert message[-1].endswith("to continue, run: kinemill run 'my task'")
    return True


BODIES = [SLEEP, IN_DAGSTER, TO_EXCEPTION, PROMPT, IN_DESTRUCTOR]


@pytest.mark.parametrize("body", BODIES)
def test_ctrl_c_is_one_line_and_130(body):
    terminal = opened(body)
    terminal.press(CTRL_C)
    assert terminal.wait() == 130
    assert is_one_line(terminal)


@pytest.mark.parametrize("body", [SLEEP, IN_DAGSTER])
def test_sigterm_is_one_line_and_143(body):
    terminal = opened(body)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == 143
    assert is_one_line(terminal, "SIGTERM")


@pytest.mark.parametrize("body", [SMALL_LOGS, ENVIRONMENTS])
@pytest.mark.parametrize("by_key", [True, False])
def test_no_worker_process_stays_and_none_prints_a_traceback(body, by_key):
    terminal = opened(body)
    family = terminal.family()
    assert len(family) >= 2
    if by_key:
        terminal.press(CTRL_C)
    else:
        os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == (130 if by_key else 143)
    assert is_one_line(terminal, "Ctrl-C" if by_key else "SIGTERM")
    assert wait_for(family, 10.0) == []


def test_a_second_ctrl_c_ends_the_cleaning_up():
    terminal = opened(DEAF_CLEANING)
    terminal.press(CTRL_C)
    terminal.read_until("cleaning")
    terminal.press(CTRL_C)
    assert terminal.wait(within=20.0) == 130
    assert "stopped by Ctrl-C: two trials are kept" in terminal.text
    assert "Traceback" not in terminal.text
    assert "Warning" not in terminal.text


def test_a_signal_that_a_shell_ignores_for_a_background_job_stays_ignored():
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + script(
        "\n    import os, signal\n    os.kill(os.getpid(), signal.SIGINT)\n    print('on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "on\n")


def test_a_signal_while_the_command_is_imported_is_one_line_too():
    code = script("").replace("import kinemill.cli.app as app", "").replace("app.app = work", "")
    previous = "from kinemill.cli import main"
    code = code.replace(previous, SLOW_IMPORT + previous)
    terminal = Terminal.start("-c", code, "run", "my task")
    terminal.read_until("ready")
    terminal.press(CTRL_C)
    assert terminal.wait() == 130
    assert is_one_line(terminal)


SLOW_IMPORT = """
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "kinemill.cli.app":
            os.write(1, b"ready\\n")
            sleep(60)
sys.meta_path.insert(0, Slow())
"""
