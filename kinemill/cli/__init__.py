"""The `kinemill` command: one file per group of commands; heavy imports are inside of functions.

Documents go to stdout and everything else to stderr. Exit codes: 0 done, 1 a blocking check or the
gate refused, 2 bad input or usage, 3 internal failure, 4 full disk, 130 Ctrl-C, 143 SIGTERM.
"""

import sys

from kinemill.interrupts import SIGNALS, is_interruption
from kinemill.process import tune_process


def main() -> None:
    """Run the command; report a signal in one line."""
    SIGNALS.install()
    try:
        _main()
    except BaseException as error:
        if not is_interruption(error):
            raise
        raise SystemExit(SIGNALS.end(error)) from None


def _main() -> None:
    """Run the command; report a missing package if only the runtime is installed."""
    tune_process()
    try:
        from kinemill.cli.app import main as run
    except ModuleNotFoundError as missing:
        sys.stderr.write(
            f"kinemill: the command needs {missing.name!r}, which is not installed; only the "
            f"runtime is installed. Run pip install 'kinemill[cpu]' or 'kinemill[gpu]'\n"
        )
        raise SystemExit(2) from missing
    run()
