"""The command line: lazily loaded commands by group, and error messages."""

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from kinemill.interrupts import is_interruption

Commands = dict[str, tuple[str, str]]


class LazyCommand(TyperCommand):
    """Placeholder of a command in help and completion; imports the command when it is used."""

    def __init__(self, name: str, path: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._path = path

    def load(self) -> object:
        """Import the module of the command and return the command with its options."""
        from kinemill.cli.command import make_command

        module, _, function = self._path.partition(".")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        command = getattr(import_module(f"kinemill.cli.{module}"), function)
        single.command(self.name)(make_command(command))
        return typer.main.get_command(single)


class LazyGroup(TyperGroup):
    """A group of commands that imports a command when it is run or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the loaded command and the remaining arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest


_COMMANDS: Commands = {
    "init": ("project.init", "Create a project folder, or the missing files of one."),
    "new": ("draft.new", "Draft a task file from logs, clips or an environment."),
    "run": ("run_command.run", "Run the pipeline for a task."),
    "config": ("task.config", "Print all settings of a run with their origin."),
    "demo": ("demo.demo", "Run the pipeline on logs of a simulated cart-pole."),
    "ui": ("server.ui", "Serve the Dagster and MLflow pages until Ctrl-C."),
    "doctor": ("doctor.doctor", "Check versions, GPU, home, disk, tasks and registry."),
    "version": ("doctor.version", "Print the version of kinemill."),
    "examples list": ("project.list_examples", "List the example tasks of kinemill."),
    "examples copy": ("project.copy", "Copy an example to the tasks of the project."),
    "task list": ("task.list_tasks", "List the tasks and the errors of invalid ones."),
    "task show": ("task.show_task", "Print a task with all defaults and overrides."),
    "task schema": ("task.print_schema", "Print the JSON schema of task files, for editors."),
    "data check": ("data.check", "Check logs against a task without storing them."),
    "data join": ("join.join", "Join files that hold different columns of one recording."),
    "data ingest": ("data.ingest", "Read logs into the store."),
    "data list": ("data.list_recordings", "List the recordings of a task with their status."),
    "data search": ("search.search_recordings", "Find recordings by a query."),
    "data tag": ("tags.tag", "Tag a recording, or a span of time in it."),
    "data tags": ("tags.list_tags", "List the tags of a task's recordings."),
    "data edit": ("edits.edit", "Edit how a recording is read; reversible."),
    "data edits": ("edits.list_edits", "List the edits of a task's recordings: who, when and why."),
    "data show": (
        "quarantine.show_recording",
        "Show the status, faults and decisions of a recording.",
    ),
    "data view": ("view.view", "Plot a recording on an HTML page."),
    "data drift": ("data.drift", "List new episodes with large errors of the champion."),
    "data export": ("export.export_data", "Write the episodes of a dataset version to files."),
    "data reprocess": ("data.reprocess", "Process recordings again whose rules changed."),
    "data forget": ("data.forget", "Remove a recording permanently."),
    "data quarantine list": (
        "quarantine.list_held_back",
        "List recordings that are not fully accepted.",
    ),
    "data quarantine release": ("quarantine.release", "Accept a recording despite its faults."),
    "data quarantine reject": ("quarantine.reject", "Exclude a recording from datasets."),
    "data quarantine undo": ("quarantine.undo", "Withdraw the decision on a recording."),
    "data datasets list": ("datasets.list_versions", "List the dataset versions of a task."),
    "data datasets show": (
        "datasets.show_version",
        "Show a dataset version: features, split and warnings.",
    ),
    "data datasets diff": ("datasets.diff_versions", "Compare two dataset versions of a task."),
    "model list": ("models.list_models", "List the registered versions of a task."),
    "model show": ("models.show_model", "Show one version: errors, gate, lineage and files."),
    "model compare": ("compare.compare", "Compare two versions on the same test split."),
    "model why": ("promote.why", "Explain why a version is champion or was refused."),
    "model evaluate": (
        "evaluate.evaluate",
        "Measure a model on logs, or a policy in an environment.",
    ),
    "model simulate": ("simulate.simulate", "Simulate with a learned model."),
    "model rollout": ("rollout.rollout", "Run a controller or a policy and log its episodes."),
    "model report": ("server.report", "Write the HTML report of one version."),
    "model export": ("export.export", "Copy a registered model to a portable folder."),
    "model verify": ("verify.verify", "Verify an exported model folder."),
    "model approve": ("promote.approve", "Approve a version and run the gate again."),
    "model trials": ("promote.trials", "Record counted trials on a robot and run the gate again."),
    "model promote": ("promote.promote", "Make a version champion."),
    "model rollback": ("promote.rollback", "Roll back to the previous champion."),
    "model pull": ("pull.pull", "Download a version to the model folder of a robot."),
    "model audit": ("promote.audit", "List every change of champion: who, when and why."),
    "model lineage": ("datasets.lineage", "List the recordings that a model was trained on."),
    "model tune": ("tune.tune", "Search for better settings."),
    "model transfer": (
        "transfer.transfer",
        "Train under each variant and test under all variants.",
    ),
    "runs start": ("start.start", "Start a run on the server and return."),
    "runs list": ("status.list_runs", "List the latest runs."),
    "runs show": ("status.show_run", "Show one run: status, progress, settings and error."),
    "runs metrics": ("status.metrics", "Print the metrics of a run."),
    "runs cancel": ("start.cancel", "Cancel a queued or running run."),
    "admin gc": ("maintenance.gc", "Delete artifacts that no registered version depends on."),
    "admin backup": ("maintenance.backup", "Back up the home while it is in use."),
    "admin restore": ("maintenance.restore", "Restore the home from a backup."),
    "admin rebuild-catalog": (
        "maintenance.rebuild_catalog",
        "Rebuild the catalog of recordings from the store.",
    ),
    "admin rebuild-registry": (
        "maintenance.rebuild_registry",
        "Register the versions of the store again in MLflow.",
    ),
    "admin users list": ("server.list_users", "List the users of the web pages with their roles."),
    "admin users add": ("server.add_user", "Add or change a user of the web pages."),
    "admin users token": (
        "server.renew_token",
        "Print a new token of a user, for commands and clients.",
    ),
    "admin users remove": ("server.remove_user", "Remove a user of the web pages."),
    "admin alerts list": (
        "alerts.list_receivers",
        "List the receivers of alerts and the number sent.",
    ),
    "admin alerts test": ("alerts.send_test", "Send a test alert to every receiver."),
}
"""`MODULE.FUNCTION` of `kinemill.cli` of each command, and the first line of its docstring.

The help of a group therefore imports no command.
"""
_GROUPS: Commands = {
    "examples": ("List and copy example tasks.", "copy pendulum"),
    "task": ("List and print task files.", "show my_robot"),
    "data": ("Manage logs and datasets.", "check logs --task my_robot"),
    "data quarantine": ("Release or reject quarantined recordings.", "list my_robot"),
    "data datasets": ("List and compare dataset versions.", "list my_robot"),
    "model": ("Evaluate, promote and deliver models.", "show my_robot@champion"),
    "runs": ("Start and follow runs on the server.", "start my_robot"),
    "admin": ("Manage users, disk space and backups.", "gc --budget 20GB"),
    "admin users": ("Manage users of the web pages.", "add ada --role operator"),
    "admin alerts": ("List receivers, send a test alert.", "test"),
}
"""Summary of each group, and an example that follows its name."""


class _Examples(LazyGroup):
    """The group of the examples; without a command it lists them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Run `list` without arguments."""
        return super().parse_args(ctx, args or ["list"])


class _Root(LazyGroup):
    """All commands and groups."""

    def __init__(self, **attributes: Any) -> None:
        attributes["commands"] = _members("")
        super().__init__(**attributes)


def _members(group: str) -> list[LazyCommand | LazyGroup]:
    """Return the commands of a group, then the groups in it."""
    commands = [
        LazyCommand(name.rpartition(" ")[2], *entry)
        for name, entry in _COMMANDS.items()
        if name.rpartition(" ")[0] == group
    ]
    return [*commands, *(_group(name) for name in _GROUPS if name.rpartition(" ")[0] == group)]


def _group(name: str) -> LazyGroup:
    summary, example = _GROUPS[name]
    kind = _Examples if name == "examples" else LazyGroup
    return kind(
        name=name.rpartition(" ")[2],
        help=f"{summary}\n\nExample: kinemill {name} {example}",
        commands=_members(name),
        no_args_is_help=True,
        rich_markup_mode=None,
    )


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
