"""The command line as a whole: its commands, and what an error looks like."""

import sys

import typer

from kinemill.cli import (
    admin,
    alerting,
    comparing,
    data,
    datasets,
    deciding,
    drafting,
    drift,
    evaluating,
    exporting,
    keeping,
    launching,
    models,
    pages,
    pulling,
    quarantine,
    rolling_out,
    running,
    setting_up,
    simulating,
    transferring,
    tuning,
    verifying,
    viewing,
    watching,
)
from kinemill.failures import report
from kinemill.interrupts import is_interruption

app = typer.Typer(
    name="kinemill",
    help="From robot logs to verified, versioned, deployable simulators.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    setting_up,
    drafting,
    data,
    exporting,
    quarantine,
    viewing,
    datasets,
    drift,
    running,
    launching,
    watching,
    tuning,
    evaluating,
    simulating,
    rolling_out,
    transferring,
    models,
    deciding,
    comparing,
    pulling,
    verifying,
    keeping,
    alerting,
    pages,
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
