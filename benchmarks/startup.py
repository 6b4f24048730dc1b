"""Time until the first line of `--help`, for kinemill and the tools that it uses."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import ROUNDS, Row, main, paired


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return `--help` answers a second, each in a separate process."""
    folder = Path(sys.executable).parent
    cases = {
        f"{name} --help": partial(
            subprocess.run, [folder / name, "--help"], check=True, capture_output=True
        )
        for name in ("kinemill", "dagster", "mlflow")
    }
    return [paired("`--help`", "calls/s", 1.0, cases, rounds, time.perf_counter)]


if __name__ == "__main__":
    main("startup", measure)
