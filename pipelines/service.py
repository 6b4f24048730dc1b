"""One of the servers in a container of its own: `python -m pipelines.service NAME`.

`kinemill up` starts all of them on one machine. Here each becomes a process of its own, on all
addresses, for a network that lets in whom it should: neither Dagster nor MLflow asks who one is.

- `code`: the assets; runs are its children, and so are trainings that are `compute: local`.
- `daemon`: sensors, schedules, the queue; `webserver`: Dagster's pages.
- `mlflow`: MLflow's pages.
- `bucket`: no server; makes the bucket that KINEMILL_REMOTE names.
"""

import os
import sys
from pathlib import Path

from kinemill.errors import BadInput, KinemillError
from kinemill.home import Home
from kinemill.registry import nearest
from kinemill.remote import make_bucket
from kinemill.tracking import open_tracking
from kinemill.tracking.database import artifact_root, tracking_uri
from pipelines.instance import checkout, open_instance, prepare
from pipelines.pools import set_limits

_EVERYWHERE = "0.0.0.0"
_WORKSPACE = Path("deploy") / "workspace.yaml"  # which finds the code server beside it


def command(name: str) -> list[str]:
    """Return the arguments of Python that start a server.

    Raises:
        BadInput: there is none of this name.
    """
    root = checkout()
    workspace, assets = str(root / _WORKSPACE), str(root / "pipelines" / "definitions.py")
    code = ["dagster", "code-server", "start", "-h", _EVERYWHERE, "-p", "4000"]
    commands = {
        "code": [*code, "-f", assets, "-d", str(root)],
        "daemon": ["dagster._daemon", "run", "-w", workspace],
        "webserver": ["dagster_webserver", "-h", _EVERYWHERE, "-p", "3000", "-w", workspace],
        "mlflow": ["mlflow", "server", "--host", _EVERYWHERE, "--port", "5000", "--workers", "1"],
    }
    if name not in commands:
        raise BadInput(name, "is no server", fix=nearest(name, list(commands)))
    return ["-m", *commands[name]]


def become(name: str) -> None:
    """Turn this process into a server."""
    home = Home.resolve()
    arguments = command(name)
    prepare(home)
    if name == "mlflow":
        open_tracking(home)  # its tables are made once, under a lock
        os.environ |= {  # not in the command, which anybody can list
            "MLFLOW_BACKEND_STORE_URI": tracking_uri(home),
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifact_root(home),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
    else:
        with open_instance(home) as instance:
            set_limits(instance)  # makes Dagster's tables, likewise
    os.chdir(checkout())
    os.execv(sys.executable, [sys.executable, *arguments])


def main() -> int:
    """Become the server named on the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        if name == "bucket":
            make_bucket()
        else:
            become(name)
    except KinemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
