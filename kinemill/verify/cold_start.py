"""Cold start: load time and first call of a model, measured in a new process.

The process runs this file by its path, so that it imports only the runtime.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ColdStart:
    """Times, ms, and memory, MB, of a new process.

    Attributes:
        import_ms: time to import the runtime.
        load_ms: time to load the model.
        first_call_ms, second_call_ms: times of a rollout or an action.
        libraries_mb: memory of the libraries.
        model_mb: memory of the model.
        process_mb: memory of the whole process.
    """

    import_ms: float
    load_ms: float
    first_call_ms: float
    second_call_ms: float
    libraries_mb: float
    model_mb: float
    process_mb: float


def measure(folder: Path) -> ColdStart:
    """Load the model of a folder in this process and measure it."""
    began = time.perf_counter()
    initial = _resident()

    from kinemill.runtime import Policy, load

    # Memory of the libraries alone; memory added after this point is that of the model.
    imported = time.perf_counter()
    libraries = _resident()
    model = load(folder)
    loaded = time.perf_counter()
    call: Callable[[], object]
    if isinstance(model, Policy):
        blank = {name: np.zeros(*shape) for name, shape in model.interface.shapes().items()}
        # All choices are allowed, as in most steps: a mask of zeros would allow none.
        blank |= {name: part + 1 for name, part in blank.items() if name == "action_mask"}
        call = lambda: model.act(blank)  # noqa: E731 - the same call twice
    else:
        history = model.history
        states = len(model.states)
        actions = len(model.actions)
        inputs = [
            np.zeros(shape, np.float32)
            for shape in ((1, history, states), (1, history - 1, actions), (1, 25, actions))
        ]
        call = lambda: model.rollout(*inputs)  # noqa: E731
    call()
    first = time.perf_counter()
    call()
    second = time.perf_counter()
    return ColdStart(
        import_ms=(imported - began) * 1e3,
        load_ms=(loaded - imported) * 1e3,
        first_call_ms=(first - loaded) * 1e3,
        second_call_ms=(second - first) * 1e3,
        libraries_mb=libraries - initial,
        model_mb=_resident() - libraries,
        process_mb=_resident(),
    )


def _resident() -> float:
    """Return the memory of this process, MB; 0 where the system does not report it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmRSS")), "0")
    return int(kilobytes) / 1024


def cold_start(folder: Path) -> ColdStart:
    """Measure the model of a folder in a new process.

    Raises:
        RuntimeError: The process failed.
    """
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"measuring {folder} in a new process failed:\n{done.stderr[-2000:]}"
        raise RuntimeError(message)
    return ColdStart(**json.loads(done.stdout))


if __name__ == "__main__":
    # Python put the folder of this file there, whose modules would hide others of the same name.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    sys.stdout.write(json.dumps(asdict(measure(Path(sys.argv[1])))))
