"""Server commands: serve the web pages, manage their users, write a report."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from kinemill.cli.output import ModelName, Output, Table, notify
from kinemill.errors import BadInput
from kinemill.store import Home, publish_file


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    read_only: bool = False,
    host: str = "127.0.0.1",
    name: list[str] | None = None,
    proxy: list[str] | None = None,
    login: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve the Dagster and MLflow pages until Ctrl-C.

    Sensors and schedules run, too.

    Example: kinemill ui --port 3000

    Args:
        port: Dagster port; the next free one if taken.
        mlflow_port: MLflow port; the next free one if taken.
        read_only: Serve read-only pages.
        host: Address to listen on; any except loopback requires a login.
        name: Additional host name of the pages, or https://NAME.
        proxy: Address of an authenticating proxy; needs KINEMILL_PROXY_SECRET.
        login: Require a login on this machine as well.
        certificate: TLS certificate, a PEM file; without it passwords are sent in clear text.
        key: Private key of the certificate.
    """
    from kinemill.api.project import project
    from kinemill.tracking.database import open_registry

    open_registry(Home.resolve())  # a lost registry is reported before any server starts
    access = project("pipelines.server.auth.login").Entrance(
        host, tuple(name or ()), login, read_only, certificate, key, tuple(proxy or ())
    )
    code = project("pipelines.server.serve").serve(
        dagster_port=port, mlflow_port=mlflow_port, entrance=access
    )
    raise typer.Exit(code)


Tasks = Annotated[
    str | None,
    typer.Option("--tasks", help="Tasks that the user can change, as a,b; default: all."),
]
UserName = Annotated[str, typer.Argument(help="User name.")]


def list_users() -> Output:
    """List the users of the web pages with their roles.

    Example: kinemill admin users list
    """
    rows = [
        {"name": name, "role": role, "tasks": None if tasks is None else list(tasks)}
        for name, (role, tasks) in _users().rights().items()
    ]
    if not rows:
        notify("there are no users; kinemill admin users add NAME --role admin adds one")
        return Output({"users": []})
    lines = [
        row | {"tasks": "all" if row["tasks"] is None else ", ".join(row["tasks"])} for row in rows
    ]
    return Output({"users": rows}, Table("users", ["name", "role", "tasks"], lines))


def add_user(
    name: UserName,
    role: str = "viewer",
    tasks: Tasks = None,
    proxied: bool = False,
) -> None:
    """Add or change a user of the web pages.

    Asks for a password, or reads it from stdin.

    Example: kinemill admin users add ada --role operator

    Args:
        role: viewer, operator, promoter or admin; each includes the ones before.
        proxied: The proxy authenticates the user; group:NAME is a group.
    """
    limit = None
    if tasks is not None:
        limit = [task.strip() for task in tasks.split(",") if task.strip()]
    if proxied:
        _users().put_proxied(name, role, limit)
    else:
        _users().put(name, role, _password(), limit)


def renew_token(name: UserName) -> None:
    """Print a new token of a user, for commands and clients.

    Example: kinemill admin users token ada
    """
    typer.echo(_users().renew_token(name))
    notify(f"the token is not stored: set KINEMILL_TOKEN on the machine of {name}")


def remove_user(name: UserName) -> None:
    """Remove a user of the web pages.

    Example: kinemill admin users remove ada
    """
    _users().remove(name)


def _users() -> ModuleType:
    from kinemill.api.project import project

    return project("pipelines.server.auth.users").Users(Home.resolve())


def _password() -> str:
    """Ask for a password twice, or read it from a pipe."""
    if sys.stdin.isatty():
        return typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    try:
        return sys.stdin.readline().rstrip("\n")
    except UnicodeDecodeError as error:
        raise BadInput("the password on stdin", "is not UTF-8", fix="type ASCII") from error


def report(
    model: ModelName,
    to: Annotated[Path, typer.Option()],
) -> Output:
    """Write the HTML report of one version.

    It covers lineage, data, training, errors and the gate.

    Example: kinemill model report my_robot:3 --to report.html

    Args:
        to: HTML file to write.
    """
    from kinemill.api.models import address_of
    from kinemill.register.version_page import version_page
    from kinemill.register.versions import find_version

    (task, which), home = address_of(model), Home.resolve()
    version = find_version(home, task.name, which)
    publish_file(to, version_page(home, version).encode())
    return Output(
        {"task": task.name, "version": version.number, "report": str(to)},
        f"report of {version.name}: {to}",
    )
