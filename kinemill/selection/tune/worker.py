"""Worker process of a search: `python -m kinemill.selection.tune.worker JOB NUMBER`."""

import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from kinemill.failures import report
from kinemill.selection.tune.search import Search, read_search
from kinemill.selection.tune.study import next_trial
from kinemill.selection.tune.trial import Bounds, TimeIsUp, work
from kinemill.store import Json, publish_json, read_json
from kinemill.tracking.throughput import Throttle


class Printed:
    """A Progress that prints lines to the log of the process."""

    def __init__(self) -> None:
        self.trial, self._throttle = 0, Throttle()

    def log_message(self, message: str) -> None:
        """Print one line."""
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Print the progress of the trial for the process of the search."""
        if self._throttle.is_due(f"{stage} of {self.trial}", done, total):
            self.log_message(f"trial {self.trial}: {stage} {done}/{total} {note}")


def write_job(search: Search, bounds: Bounds) -> Path:
    """Write the job of a worker; return the file."""
    path = search.folder / "job.json"
    publish_json(path, {"search": str(search.folder), "bounds": asdict(bounds)})
    return path


def run(job: Json, number: int) -> None:
    """Run trials until their number or the time limit is reached."""
    search = read_search(Path(job["search"]))
    bounds = Bounds(**job["bounds"])
    task = search.task()
    progress = Printed()
    try:
        while True:
            bounds.check()
            with ExitStack() as stack:
                assignment = next_trial(search, task, bounds.trials, number, stack)
                if assignment is None:
                    return
                progress.trial = assignment[1].number
                progress.log_message(f"trial {progress.trial}")
                work(search, bounds, *assignment, progress)
    except TimeIsUp:
        progress.log_message("the time limit passed")


def main() -> int:
    """Run the job of the command line; report a known failure in one line."""
    try:
        run(read_json(Path(sys.argv[1])), int(sys.argv[2]))
    except Exception as error:  # noqa: BLE001 - the last frame there is
        return report(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
