"""Cold start: load time and first call of a model, measured in a new process.

Run as a file, not as a module of the package, so that nothing but the runtime is imported.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def measure(folder: Path) -> dict[str, float]:
    """Return ms of importing, loading and the first calls, and MB of memory after each."""
    began, before = time.perf_counter(), _resident()
    import numpy as np

    from kinemill.runtime import Policy, load

    imported, libraries = time.perf_counter(), _resident()
    model = load(folder)
    loaded = time.perf_counter()
    call: Callable[[], Any]
    if isinstance(model, Policy):
        blank = {name: np.zeros(*shape) for name, shape in model.interface.shapes().items()}
        blank |= {name: part + 1 for name, part in blank.items() if name == "action_mask"}
        call = lambda: model.act(blank)  # noqa: E731 - the same call twice
    else:
        known, states, actions = model.history, len(model.states), len(model.actions)
        inputs = [
            np.zeros(shape, np.float32)
            for shape in ((1, known, states), (1, known - 1, actions), (1, 25, actions))
        ]
        call = lambda: model.rollout(*inputs)  # noqa: E731
    call()
    first = time.perf_counter()
    call()
    second = time.perf_counter()
    return {
        "import_ms": (imported - began) * 1e3,
        "load_ms": (loaded - imported) * 1e3,
        "first_call_ms": (first - loaded) * 1e3,
        "second_call_ms": (second - first) * 1e3,
        "libraries_mb": libraries - before,
        "model_mb": _resident() - libraries,
        "process_mb": _resident(),
    }


def _resident() -> float:
    """Return the memory that this process holds, MB; 0 where that is not told."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    found = next((line.split()[1] for line in lines if line.startswith("VmRSS")), "0")
    return int(found) / 1024


def cold_start(folder: Path) -> dict[str, Any]:
    """Measure a folder in a fresh process.

    Raises:
        RuntimeError: the process failed.
    """
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"measuring {folder} in a fresh process failed:\n{done.stderr[-2000:]}"
        raise RuntimeError(message)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # not this file's own folder
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))))
