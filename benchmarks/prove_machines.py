"""The demo task with the services that machines share: PostgreSQL, an S3 store, nodes of Ray.

Each first run is `kinemill demo --keep` on a fresh home in a separate process; the second run uses
the same home, and the third the empty home of another machine. All servers are on this machine, so
the times include the servers but no network.
"""

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import Row, _proof, row, table
from benchmarks._servers import (
    add_node,
    new_bucket,
    new_database,
    postgres,
    ray_head,
    s3,
    s3_environment,
)
from kinemill.control.sim import write_logs

_TASK = "cart_pole"


def measure() -> list[Row]:
    """Return seconds of the demo task: first, again, and on a machine with an empty home."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database, store = stack.enter_context(postgres()), stack.enter_context(s3())
        services = {
            "KINEMILL_DATABASE": new_database(database),
            "KINEMILL_REMOTE": new_bucket(store)[0],
            **s3_environment(store),
        }
        alone = _first_and_again("SQLite, files", folder / "alone", {})
        rows = [row(work, "s", seconds, {}) for work, seconds in alone.items()]
        usual = dict(zip(("first", "again"), alone.values(), strict=True))
        one = {"KINEMILL_DATABASE": new_database(database)}
        for name, environment in {"PostgreSQL": one, "PostgreSQL, S3": services}.items():
            durations = _first_and_again(name, folder / name, environment)
            for (work, seconds), reference in zip(durations.items(), usual.values(), strict=True):
                rows.append(row(work, "s", seconds, {"SQLite, files": reference}))
        second_home = folder / "another machine"
        (second_home / "logs" / _TASK).mkdir(parents=True)
        seconds = _run(second_home, services, ["run", _TASK])
        rows.append(
            row("PostgreSQL, S3: on another machine", "s", seconds, {"first": usual["first"]})
        )
        cluster = stack.enter_context(ray_head())
        for _ in range(2):
            add_node(cluster)
        write_logs(folder / "ray" / "logs" / _TASK, _TASK)
        command = ["run", _TASK, "--set", "compute.type=ray"]
        seconds = _run(folder / "ray", {"RAY_ADDRESS": cluster.address}, command)
        rows.append(row("SQLite, files, Ray: first", "s", seconds, {"local": usual["first"]}))
        return rows


def _first_and_again(name: str, home: Path, environment: dict[str, str]) -> dict[str, float]:
    demo = ["demo", "--keep", f"{home}-project"]
    return {
        f"{name}: first": _run(home, environment, demo),
        f"{name}: again": _run(home, environment, demo),
    }


def _run(home: Path, environment: dict[str, str], command: list[str]) -> float:
    """Return the seconds of a command on a home."""
    began = time.perf_counter()
    _proof.kinemill(home, *command, **environment)
    return time.perf_counter() - began


if __name__ == "__main__":
    _proof.write("machines", table(measure()))
