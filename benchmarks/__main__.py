"""Run every benchmark in a separate process and rewrite the tables of docs/results-*.md.

The table of a benchmark that fails is not changed, and the others run.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks import ROOT

# These take longer, and run only if named.
OTHERS = ("prove_", "gpu")
NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith(("_", *OTHERS))
)


def run_all(names: list[str]) -> list[str]:
    """Run benchmarks, and return the names of those that failed."""
    return [
        name
        for name in names
        if subprocess.call([sys.executable, "-m", f"benchmarks.{name}", "--write"], cwd=ROOT)
    ]


if __name__ == "__main__":
    if failed := run_all(NAMES):
        sys.exit(f"failed, and their tables stay: {', '.join(failed)}")
