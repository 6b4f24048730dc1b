"""The command line: lazily loaded commands by group, and error messages."""

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from kinemill.interrupts import is_interruption

Commands = dict[str, tuple[str, str]]
"""Commands by name, in the order of the help.

Each has `MODULE.FUNCTION` of `kinemill.cli` and the first line of its docstring, so that the help
of a group imports no command.
"""


class LazyCommand(TyperCommand):
    """Placeholder of a command in help and completion; imports the command when it is used."""

    def __init__(self, name: str, path: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._path = path

    def load(self) -> object:
        """Import the module of the command and return the command with its options."""
        module, _, function = self._path.partition(".")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(self.name)(getattr(import_module(f"kinemill.cli.{module}"), function))
        return typer.main.get_command(single)


class LazyGroup(TyperGroup):
    """A group of commands that imports a command when it is run or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the loaded command and the remaining arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest


_TOP: Commands = {
    "init": ("init.init", "Create a project folder, or the missing files of one."),
    "new": ("draft.new", "Draft a task file from logs, clips or an environment."),
    "run": ("run_command.run", "Run the pipeline for a task."),
    "config": ("config.config", "Print all settings of a run with their origin."),
    "demo": ("demo.demo", "Run the pipeline on logs of a simulated cart-pole."),
    "ui": ("server.ui", "Serve the Dagster and MLflow pages until Ctrl-C."),
    "doctor": ("doctor.doctor", "Check versions, GPU, home, disk, tasks and registry."),
    "version": ("doctor.version", "Print the version of kinemill."),
}
_EXAMPLES: Commands = {
    "list": ("examples.list_examples", "List the example tasks of kinemill."),
    "copy": ("examples.copy", "Copy an example to the tasks of the project."),
}
_TASK: Commands = {
    "list": ("task.list_tasks", "List the tasks and the errors of invalid ones."),
    "show": ("task.show_task", "Print a task with all defaults and overrides."),
    "schema": ("task.print_schema", "Print the JSON schema of task files, for editors."),
}
_DATA: Commands = {
    "check": ("data.check", "Check logs against a task without storing them."),
    "join": ("join.join", "Join files that hold different columns of one recording."),
    "ingest": ("data.ingest", "Read logs into the store."),
    "validate": ("data.validate", "Read logs and check them, without a dataset or model."),
    "list": ("data.list_recordings", "List the recordings of a task with their status."),
    "search": ("search.search_recordings", "Find recordings by a query."),
    "tag": ("tags.tag", "Tag a recording, or a span of time in it."),
    "tags": ("tags.list_tags", "List the tags of a task's recordings."),
    "edit": ("edits.edit", "Edit how a recording is read; reversible."),
    "edits": ("edits.list_edits", "List the edits of a task's recordings: who, when and why."),
    "show": ("quarantine.show_recording", "Show the status, faults and decisions of a recording."),
    "view": ("view.view", "Plot a recording on an HTML page."),
    "drift": ("drift.drift", "List new episodes with large errors of the champion."),
    "export": ("export.export_data", "Write the episodes of a dataset version to files."),
    "reprocess": ("data.reprocess", "Process recordings again whose rules changed."),
    "forget": ("data.forget", "Remove a recording permanently."),
}
_QUARANTINE: Commands = {
    "list": ("quarantine.list_held_back", "List recordings that are not fully accepted."),
    "release": ("quarantine.release", "Accept a recording despite its faults."),
    "reject": ("quarantine.reject", "Exclude a recording from datasets."),
    "undo": ("quarantine.undo", "Withdraw the decision on a recording."),
}
_DATASETS: Commands = {
    "list": ("datasets.list_versions", "List the dataset versions of a task."),
    "show": ("datasets.show_version", "Show a dataset version: features, split and warnings."),
    "diff": ("datasets.diff_versions", "Compare two dataset versions of a task."),
}
_MODEL: Commands = {
    "list": ("models.list_models", "List the registered versions of a task."),
    "show": ("models.show_model", "Show one version: errors, gate, lineage and files."),
    "compare": ("compare.compare", "Compare two versions on the same test split."),
    "why": ("promote.why", "Explain why a version is champion or was refused."),
    "evaluate": ("evaluate.evaluate", "Measure a model on logs, or a policy in an environment."),
    "simulate": ("simulate.simulate", "Simulate with a learned model."),
    "rollout": ("rollout.rollout", "Run a controller or a policy and log its episodes."),
    "report": ("server.report", "Write the HTML report of one version."),
    "export": ("export.export", "Copy a registered model to a portable folder."),
    "verify": ("verify.verify", "Verify an exported model folder."),
    "approve": ("promote.approve", "Approve a version and run the gate again."),
    "trials": ("promote.trials", "Record counted trials on a robot and run the gate again."),
    "promote": ("promote.promote", "Make a version champion."),
    "rollback": ("promote.rollback", "Roll back to the previous champion."),
    "pull": ("pull.pull", "Download a version to the model folder of a robot."),
    "audit": ("promote.audit", "List every change of champion: who, when and why."),
    "lineage": ("datasets.lineage", "List the recordings that a model was trained on."),
    "tune": ("tune.tune", "Search for better settings."),
    "transfer": ("transfer.transfer", "Train under each variant and test under all variants."),
}
_RUNS: Commands = {
    "start": ("start.start", "Start a run on the server and return."),
    "list": ("status.list_runs", "List the latest runs."),
    "show": ("status.show_run", "Show one run: status, progress, settings and error."),
    "metrics": ("status.metrics", "Print the metrics of a run."),
    "cancel": ("start.cancel", "Cancel a queued or running run."),
}
_ADMIN: Commands = {
    "gc": ("maintenance.gc", "Delete artifacts that no registered version depends on."),
    "backup": ("maintenance.backup", "Back up the home while it is in use."),
    "restore": ("maintenance.restore", "Restore the home from a backup."),
    "rebuild-catalog": (
        "maintenance.rebuild_catalog",
        "Rebuild the catalog of recordings from the store.",
    ),
    "rebuild-registry": (
        "maintenance.rebuild_registry",
        "Register the versions of the store again in MLflow.",
    ),
}
_USERS: Commands = {
    "list": ("server.list_users", "List the users of the web pages with their roles."),
    "add": ("server.add_user", "Add or change a user of the web pages."),
    "token": ("server.renew_token", "Print a new token of a user, for commands and clients."),
    "remove": ("server.remove_user", "Remove a user of the web pages."),
}
_ALERTS: Commands = {
    "list": ("alerts.list_receivers", "List the receivers of alerts and the number sent."),
    "test": ("alerts.send_test", "Send a test alert to every receiver."),
}


def _group(
    name: str,
    summary: str,
    example: str,
    *members: TyperCommand | TyperGroup,
    kind: type[LazyGroup] = LazyGroup,
) -> LazyGroup:
    """Return a group of commands.

    `example` is a command line, without `kinemill`.
    """
    return kind(
        name=name,
        help=f"{summary}\n\nExample: kinemill {example}",
        commands=members,
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def _commands(summaries: Commands) -> list[LazyCommand]:
    return [LazyCommand(name, *entry) for name, entry in summaries.items()]


class _Examples(LazyGroup):
    """The group of the examples; without a command it lists them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Run `list` without arguments."""
        return super().parse_args(ctx, args or ["list"])


class _Root(LazyGroup):
    """All commands and groups."""

    def __init__(self, **attributes: Any) -> None:
        attributes["commands"] = _tree()
        super().__init__(**attributes)


def _tree() -> list[LazyCommand | LazyGroup]:
    return [
        *_commands(_TOP),
        _group(
            "examples",
            "List and copy example tasks.",
            "examples copy pendulum",
            *_commands(_EXAMPLES),
            kind=_Examples,
        ),
        _group("task", "List and print task files.", "task show my_robot", *_commands(_TASK)),
        _group(
            "data",
            "Manage logs and datasets.",
            "data check logs --task my_robot",
            *_commands(_DATA),
            _group(
                "quarantine",
                "Release or reject quarantined recordings.",
                "data quarantine list my_robot",
                *_commands(_QUARANTINE),
            ),
            _group(
                "datasets",
                "List and compare dataset versions.",
                "data datasets list my_robot",
                *_commands(_DATASETS),
            ),
        ),
        _group(
            "model",
            "Evaluate, promote and deliver models.",
            "model show my_robot@champion",
            *_commands(_MODEL),
        ),
        _group(
            "runs", "Start and follow runs on the server.", "runs start my_robot", *_commands(_RUNS)
        ),
        _group(
            "admin",
            "Manage users, disk space and backups.",
            "admin gc --budget 20GB",
            *_commands(_ADMIN),
            _group(
                "users",
                "Manage users of the web pages.",
                "admin users add ada --role operator",
                *_commands(_USERS),
            ),
            _group(
                "alerts",
                "List receivers, send a test alert.",
                "admin alerts test",
                *_commands(_ALERTS),
            ),
        ),
    ]


app = typer.Typer(
    name="kinemill",
    cls=_Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_set: bool) -> None:
    if is_set:
        from kinemill import __version__

        typer.echo(f"kinemill {__version__}")
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


def main() -> None:
    """Run the command line; print an error as one line and exit with its code."""
    try:
        app()
    except Exception as error:
        if is_interruption(error):  # a library has converted the signal to an error
            raise
        from kinemill.failures import report

        sys.exit(report(error))
