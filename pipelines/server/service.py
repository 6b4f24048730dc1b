"""Run one server in its own container: `python -m kinemill_dagster.pipelines.server.service NAME`.

`kinemill ui` starts all servers on one machine; here each is a separate process. The pages are
served on all addresses behind the same guard (`pipelines/server/auth`), and login is required:
`KINEMILL_USERS` names the file of users, `KINEMILL_NAMES` the host names of the pages,
`KINEMILL_PROXY` the addresses of a proxy that logs users in; lists are separated by commas.

- `code`: the code server; runs are its children, and so are trainings with `compute: local`. It has
  no authentication and is reachable only in its own network.
- `daemon`: sensors, schedules, the queue; `webserver`: Dagster's pages.
- `mlflow`: MLflow's pages.
- `bucket`: not a server; creates the bucket that KINEMILL_REMOTE names.
"""

import os
import sys
import sysconfig
from pathlib import Path

from kinemill.errors import BadInput, KinemillError
from kinemill.extras import require_package
from kinemill.registry import nearest
from kinemill.store.home import Home
from kinemill.store.object_store import make_bucket
from kinemill.store.project import project_root
from kinemill.tracking import open_tracking
from kinemill_dagster.pipelines.instance import open_instance, prepare
from kinemill_dagster.pipelines.project_files import packaged
from kinemill_dagster.pipelines.server.auth.login import Entrance
from kinemill_dagster.pipelines.server.auth.users import Users
from kinemill_dagster.resources.pools import set_limits

_EVERYWHERE = "0.0.0.0"
_HERE = "127.0.0.1"
_PORTS = {"webserver": 3000, "mlflow": 5000}
_NAMES = "KINEMILL_NAMES"
_PROXY = "KINEMILL_PROXY"
_WORKSPACE = "code_server.yaml"  # contains the address of the code server


def command(name: str, home: Home) -> list[str]:
    """Return the arguments of Python that start a server.

    Raises:
        BadInput: Unknown name, a server with pages and no users, or the extra `server` is missing.
    """
    workspace = str(packaged(_WORKSPACE))
    code = ["dagster", "code-server", "start", "-h", _HERE, "-p", "4000"]
    commands = {
        "code": lambda: [*code, "-m", "kinemill_dagster.pipelines.definitions"],
        "daemon": lambda: daemon_arguments(workspace),
        "webserver": lambda: [*_guarded("dagster_webserver", name, home), "--workspace", workspace],
        "mlflow": lambda: _guarded("mlflow", name, home),
    }
    if name not in commands:
        raise BadInput(name, "is not a server", fix=nearest(name, list(commands)))
    arguments = commands[name]()
    return arguments if name == "daemon" else ["-m", *arguments]


def daemon_arguments(workspace: str) -> list[str]:
    """Return the arguments of Python that start Dagster's daemon."""
    script = Path(sysconfig.get_path("scripts")) / "dagster-daemon"
    return [str(script), "run", "-w", workspace]


def _guarded(server: str, name: str, home: Home) -> list[str]:
    require_package(server, name)
    entrance = Entrance(_EVERYWHERE, names=_listed(_NAMES), proxy=_listed(_PROXY)).checked(
        Users(home)
    )
    return ["kinemill_dagster.pipelines.server.auth", server, *entrance.flags(_PORTS[name])]


def _listed(variable: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in os.environ.get(variable, "").split(","))))


def become(name: str) -> None:
    """Replace this process by a server."""
    home = Home.resolve()
    arguments = command(name, home)
    prepare(home)
    if name == "mlflow":
        open_tracking(home)  # creates its tables once, under a lock
    else:
        with open_instance(home) as instance:
            set_limits(instance)  # creates Dagster's tables, likewise
    if root := project_root():
        os.environ["KINEMILL_PROJECT"] = str(root)
    os.chdir(home.dagster)  # Dagster would load `.env` of the project over this environment
    os.execv(sys.executable, [sys.executable, *arguments])


def main() -> int:
    """Run the server named on the command line."""
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
