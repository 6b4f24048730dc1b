"""The command line: all commands, and the report of an error."""

import sys
from typing import Annotated

import typer

from kinemill.cli import (
    admin,
    alerts,
    compare,
    data,
    datasets,
    draft,
    drift,
    evaluate,
    export,
    init,
    maintenance,
    models,
    promote,
    pull,
    quarantine,
    rollout,
    run_command,
    server,
    simulate,
    start,
    status,
    transfer,
    tune,
    verify,
    view,
)
from kinemill.failures import report
from kinemill.interrupts import is_interruption

app = typer.Typer(
    name="kinemill",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kinemill {init.installed('kinemill')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Turn robot logs into verified dynamics models and policies.

    Example: kinemill run my_robot --logs path/to/logs
    """


for group in (
    init,
    draft,
    data,
    export,
    quarantine,
    view,
    datasets,
    drift,
    run_command,
    start,
    status,
    tune,
    evaluate,
    simulate,
    rollout,
    transfer,
    models,
    promote,
    compare,
    pull,
    verify,
    maintenance,
    alerts,
    server,
):
    for command in group.COMMANDS:
        app.command()(command)

app.add_typer(admin.app, name="admin")


def main() -> None:
    """Run the command line; report an error in its own words, and exit with its code."""
    try:
        app()
    except Exception as error:
        if is_interruption(error):  # a library made an error of the signal
            raise
        sys.exit(report(error))
