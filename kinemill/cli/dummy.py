"""A chain on made-up logs: in a home of its own, so that no real data or model is touched."""

import json
import os
from pathlib import Path

from kinemill.home import Home
from kinemill.spec import load_task


def prepare(task: str) -> tuple[Path, list[str]]:
    """Write dummy logs of a task; return their folder and the overrides to run with.

    From here on this process, and those it starts, keep everything in `dummy/` of the home.
    """
    from kinemill.sim import dummy_overrides, write_dummy_logs

    loaded, home = load_task(task), Home(Home.resolve().root / "dummy")
    os.environ["KINEMILL_HOME"] = str(home.root)
    folder = home.logs(loaded.name)
    write_dummy_logs(loaded, folder)
    spelled = [f"{key}={json.dumps(value)}" for key, value in dummy_overrides(loaded).items()]
    return folder, spelled
