"""The command line: commands by group, and the report of an error."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from kinemill.cli import (
    admin,
    alerts,
    compare,
    data,
    datasets,
    doctor,
    draft,
    drift,
    evaluate,
    export,
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
    task,
    transfer,
    tune,
    verify,
    view,
)
from kinemill.failures import report
from kinemill.interrupts import is_interruption

Commands = dict[str, Callable[..., Any]]

app = typer.Typer(
    name="kinemill",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_set: bool) -> None:
    if is_set:
        doctor.print_version()
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


def _add_group(parent: typer.Typer, name: str, text: str, commands: Commands) -> typer.Typer:
    """Add a group of commands.

    Args:
        parent: the app or the group that it belongs to.
        name: the word that is typed.
        text: summary and example, without `Example: kinemill`.
        commands: function by command name, in the order of the help.
    """
    summary, _, example = text.partition(" | ")
    group = typer.Typer(help=f"{summary}\n\nExample: kinemill {example}", no_args_is_help=True)
    for command, function in commands.items():
        group.command(command)(function)
    parent.add_typer(group, name=name)
    return group


_TOP: Commands = {
    "new": draft.new,
    "run": run_command.run,
    "demo": run_command.demo,
    "ui": server.ui,
    "doctor": doctor.doctor,
    "version": doctor.version,
}
_TASK: Commands = {
    "list": task.list_tasks,
    "show": task.show_task,
    "schema": task.print_schema,
}
_DATA: Commands = {
    "check": data.check,
    "ingest": data.ingest,
    "list": data.list_recordings,
    "search": data.search_recordings,
    "show": quarantine.show_recording,
    "view": view.view,
    "drift": drift.drift,
    "export": export.export_data,
    "reprocess": data.reprocess,
    "forget": data.forget,
}
_QUARANTINE: Commands = {
    "list": quarantine.list_held_back,
    "release": quarantine.release,
    "reject": quarantine.reject,
    "undo": quarantine.undo,
}
_DATASETS: Commands = {
    "list": datasets.list_versions,
    "show": datasets.show_version,
    "diff": datasets.diff_versions,
}
_MODEL: Commands = {
    "list": models.list_models,
    "show": models.show_model,
    "compare": compare.compare,
    "why": promote.why,
    "evaluate": evaluate.evaluate,
    "simulate": simulate.simulate,
    "rollout": rollout.rollout,
    "report": server.report,
    "export": export.export,
    "verify": verify.verify,
    "approve": promote.approve,
    "promote": promote.promote,
    "rollback": promote.rollback,
    "canary": pull.canary,
    "pull": pull.pull,
    "audit": promote.audit,
    "lineage": datasets.lineage,
    "tune": tune.tune,
    "transfer": transfer.transfer,
}
_RUNS: Commands = {
    "start": start.start,
    "list": status.list_runs,
    "show": status.show_run,
    "metrics": status.metrics,
    "cancel": start.cancel,
}
_ADMIN: Commands = {
    "gc": maintenance.gc,
    "backup": maintenance.backup,
    "restore": maintenance.restore,
    "upgrade": maintenance.upgrade,
    "rebuild-registry": admin.rebuild_registry,
}
_USERS: Commands = {
    "list": server.list_users,
    "add": server.add_user,
    "token": server.renew_token,
    "remove": server.remove_user,
}
_ALERTS: Commands = {"list": alerts.list_receivers, "test": alerts.send_test}

for _name, _command in _TOP.items():
    app.command(_name)(_command)
_add_group(app, "task", "List and print task files. | task show my_robot", _TASK)
_data = _add_group(
    app, "data", "Manage logs and datasets. | data check logs --task my_robot", _DATA
)
_add_group(
    _data,
    "quarantine",
    "Release or reject held-back recordings. | data quarantine list my_robot",
    _QUARANTINE,
)
_add_group(
    _data, "datasets", "List and compare dataset versions. | data datasets list my_robot", _DATASETS
)
_add_group(
    app, "model", "Evaluate, promote and deliver models. | model show my_robot@champion", _MODEL
)
_add_group(app, "runs", "Start and follow runs on the server. | runs start my_robot", _RUNS)
_admin = _add_group(
    app, "admin", "Manage users, disk space and backups. | admin gc --budget 20GB", _ADMIN
)
_add_group(
    _admin,
    "users",
    "Manage users of the web pages. | admin users add ada --role operator",
    _USERS,
)
_add_group(_admin, "alerts", "List receivers, send a test alert. | admin alerts test", _ALERTS)


def main() -> None:
    """Run the command line; print an error as one line and exit with its code."""
    try:
        app()
    except Exception as error:
        if is_interruption(error):  # a library made an error of the signal
            raise
        sys.exit(report(error))
