"""`python -m kinemill.control.sim SYSTEM --to FOLDER`: write the logs of a simulated robot."""

import argparse
import sys
from pathlib import Path

from kinemill.control.sim import SIMULATORS, write_logs
from kinemill.errors import KinemillError
from kinemill.extras import require_package


def main(arguments: list[str] | None = None) -> int:
    """Write logs with the settings of the arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kinemill.control.sim", description=__doc__)
    parser.add_argument("system", help=f"one of {', '.join(SIMULATORS)}")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--episodes", type=int, default=24, help="good logs (default 24)")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each (default 15)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", choices=("on", "off"), default="on", help="of the sensors")
    parser.add_argument("--broken", choices=("on", "off"), default="on", help="broken logs too")
    parser.add_argument("--workers", type=int, default=None, help="default: one a processor")
    options = parser.parse_args(arguments)
    try:
        require_package("mujoco", parser.prog)
        paths = write_logs(
            options.to,
            options.system,
            episodes=options.episodes,
            seconds=options.seconds,
            seed=options.seed,
            workers=options.workers,
            noise=options.noise == "on",
            broken=options.broken == "on",
        )
    except KinemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{len(paths)} logs in {options.to}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
