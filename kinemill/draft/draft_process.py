"""Draft or check in a separate process: `python -m kinemill.draft.draft_process FOLDER`.

The folder holds `order.json` and the logs in `logs/`. The result is one line of JSON on stdout. The
process has half of the machine's memory at most, so that a faulty log does not end the server.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue

from kinemill.errors import KinemillError
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.store.machine import limit_memory

ORDER = "order.json"
LOGS = "logs"
LearnType = Literal["dynamics", "imitation", "motion"]
_SHARE = 0.5  # of the memory


class Order(BaseModel):
    """Job of the process.

    Attributes:
        name: name of the task.
        learn: learn type of the draft.
        rate: rate of logs without timestamps, Hz.
        task: content of a task file to check the logs with; None: draft one.
        home: root of the home of the check, which is only read.
    """

    name: str
    learn: LearnType = "dynamics"
    rate: Annotated[float, Field(gt=0.0)] | None = None
    task: dict[str, JsonValue] | None = None
    home: str = ""


def main() -> None:
    """Run the job of a folder; print `{"result": ...}`, or `{"problem": "..."}`."""
    folder = Path(sys.argv[1])
    total = limit_memory(_SHARE)
    order = Order.model_validate_json((folder / ORDER).read_bytes())
    try:
        if order.task is None:
            result = {"result": _draft(order, folder / LOGS)}
        else:
            result = {"result": _check(order, order.task, folder / LOGS)}
    except KinemillError as error:
        text = str(error).replace(f"{folder / LOGS}: ", "")
        result = {"problem": text.replace(f"{folder / LOGS}/", "")}
    except MemoryError:
        result = {"problem": f"the logs need more than {total / 2**30:.1f} GiB of memory"}
    sys.stdout.write(json.dumps(result, allow_nan=False))


def _draft(order: Order, logs: Path) -> Json:
    from kinemill.draft.builder import build
    from kinemill.draft.draft_check import check_draft
    from kinemill.draft.draft_preview import preview_of
    from kinemill.draft.imitation import build_imitation
    from kinemill.draft.motion import build_motion

    builders = {"dynamics": build, "imitation": build_imitation, "motion": build_motion}
    checked = check_draft(builders[order.learn](order.name, logs, order.rate))
    preview = preview_of(checked).model_dump(mode="json")
    return {**preview, "files": _below(preview["files"], logs)}


def _check(order: Order, task: Json, logs: Path) -> Json:
    """Return the document of `kinemill data check --json`."""
    from kinemill.dataset.dry_run import dataset_problem
    from kinemill.task import make_task
    from kinemill.validate.dry_run import AcceptedEpisode, dry_run

    loaded = make_task(task, web=True)
    home = Home(Path(order.home))
    accepted = list[AcceptedEpisode]()
    files = dry_run(loaded, home, logs, accepted)
    return {
        "files": _below(files, logs),
        "dataset": dataset_problem(loaded, home, accepted, split=True) or None,
    }


def _below(files: list[Json], logs: Path) -> list[Json]:
    """Return the entries of logs with their names in the folder."""
    return [{**file, "file": str(file["file"]).removeprefix(f"{logs}/")} for file in files]


if __name__ == "__main__":
    main()
