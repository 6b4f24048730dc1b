"""What a process of a search runs: `python -m kinemill.tune.worker JOB NUMBER`."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kinemill.errors import KinemillError
from kinemill.store import publish_json, read_json
from kinemill.tune.search import Search, read_search
from kinemill.tune.study import next_trial
from kinemill.tune.trial import Bounds, TimeIsUp, work


class Printed:
    """A Progress that prints lines: they go to the log of the process."""

    def say(self, message: str) -> None:
        """Print one line."""
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Count in silence; the curves are in MLflow."""


def write_job(search: Search, bounds: Bounds) -> Path:
    """Write what a worker is told; return the file."""
    path = search.folder / "job.json"
    publish_json(path, {"search": str(search.folder), "bounds": asdict(bounds)})
    return path


def run(job: Mapping[str, Any], number: int) -> None:
    """Do trials until there are enough, or until the time is over."""
    search, bounds = read_search(Path(job["search"])), Bounds(**job["bounds"])
    task, progress = search.task(), Printed()
    try:
        while True:
            bounds.check()
            with ExitStack() as held:
                taken = next_trial(search, task, bounds.trials, number, held)
                if taken is None:
                    return
                progress.say(f"trial {taken[1].number}")
                work(search, bounds, *taken, progress)
    except TimeIsUp:
        progress.say("no time is left")


def main() -> int:
    """Run the job named on the command line; tell a failure in one line."""
    try:
        run(read_json(Path(sys.argv[1])), int(sys.argv[2]))
    except KinemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
