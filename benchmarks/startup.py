"""Time until the first line of `--help`, for kinemill and the tools that it uses."""

import subprocess
import sys
from pathlib import Path

from benchmarks import Row, interleaved, main, row


def measure() -> list[Row]:
    """Return `--help` answers a second, each in a process of its own."""
    folder = Path(sys.executable).parent
    seconds = interleaved(
        {name: lambda name=name: _help(folder / name) for name in ("kinemill", "dagster", "mlflow")}
    )
    rate = {name: 1 / value for name, value in seconds.items()}
    ours = rate.pop("kinemill")
    return [row("`--help`", "calls/s", ours, {f"{n} --help": value for n, value in rate.items()})]


def _help(command):
    subprocess.run([command, "--help"], check=True, capture_output=True)


if __name__ == "__main__":
    main("startup", measure)
