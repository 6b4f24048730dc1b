"""The C++ example of a legged robot (`examples/cpp/run_policy.cpp`), with a policy's interface."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import EXAMPLES
from kinemill.export.c99.policy_source import generate_policy
from kinemill.runtime.integrity import POLICY

PROGRAM = EXAMPLES.parent / "cpp" / "run_policy.cpp"
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")


def build_onboard(folder: Path, program: Path) -> Path:
    """Compile policy.c of a folder with the C++ example; return the program."""
    name = generate_policy((folder / POLICY).read_bytes()).name
    code = program.with_suffix(".o")
    subprocess.run(["gcc", "-std=c99", *_FLAGS, "-c", folder / "policy.c", "-o", code], check=True)
    names = [f"-DACT={name}_act", f"-DNAME={name.upper()}", f"-I{folder}"]
    subprocess.run(
        ["g++", "-std=c++17", *_FLAGS, *names, PROGRAM, code, "-o", program, "-lm"], check=True
    )
    return program


class Onboard:
    """Robots that the C++ example controls, one process each, with the interface of a policy.

    Args:
        program: as `build_onboard` returned it.
    """

    def __init__(self, program: Path) -> None:
        self._program, self._processes = program, list[subprocess.Popen[str]]()

    def initial_carry(self, batch: int) -> list[NDArray[np.float32]]:
        """Start a process for each robot; each keeps its carry."""
        self.close()
        command = [self._program, "--free"]
        for _ in range(batch):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._processes.append(process)
        return [np.full((batch, 1), np.nan, np.float32)]

    def step(self, inputs: Mapping[str, Any], carry: Any) -> tuple[NDArray[np.float32], Any]:
        """Return the targets of the joints, (B, J) rad."""
        rows = inputs["observation"]
        for process, row in zip(self._processes, rows, strict=True):
            assert process.stdin is not None
            process.stdin.write(" ".join(f"{value:.9g}" for value in row) + "\n")
            process.stdin.flush()
        replies = list[list[float]]()
        for process in self._processes:
            assert process.stdout is not None
            replies.append([float(value) for value in process.stdout.readline().split()])
        return np.array(replies, np.float32), carry

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.communicate()
        self._processes.clear()
