"""The command line as a whole: its commands, and what an error looks like."""

import sys
import traceback
from pathlib import Path

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
from kinemill.disk import full_disk
from kinemill.errors import BadInput, KinemillError

INTERNAL = 3
_MAY_NOT = "give this user access, or set KINEMILL_HOME to a folder of theirs"

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
    """Run the command line; tell an error in its own words, and exit with its code."""
    try:
        app()
    except KinemillError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except PermissionError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}; {_MAY_NOT}\n")
        sys.exit(BadInput.exit_code)
    except Exception as error:  # noqa: BLE001 - the last frame there is: told in full, then code 3
        if full := full_disk(error, Path.cwd()):
            sys.stderr.write(f"{full}\n")
            sys.exit(full.exit_code)
        sys.stderr.write(f"{traceback.format_exc()}\nThis is a fault in kinemill itself.\n")
        sys.exit(INTERNAL)
