"""The `kinemill` command: one file per group of commands, heavy imports inside each of them.

Documents go to stdout and everything else to stderr. Exit codes: 0 done, 1 a blocking check or the
gate refused, 2 bad input or usage, 3 internal failure.
"""

from kinemill.cli.app import main

__all__ = ["main"]
