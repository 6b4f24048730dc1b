"""The command line: lazily loaded commands by group, and error messages."""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from kinemill.interrupts import is_interruption


class _Command(TyperCommand):
    """A command whose error about a further argument explains spaces in paths."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; the rest of them is an error."""
        parsed = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            message = f"extra argument {ctx.args[0]!r}; a path with spaces needs quotes"
            raise typer.BadParameter(message, ctx)
        return parsed


class LazyCommand(TyperCommand):
    """Placeholder of a command in help and completion; imports the command when it is used."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._module, _, self._function = path.partition(".")

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first line of the docstring, read without an import, which can take 1 s."""
        del limit
        source = Path(__file__).with_name(f"{self._module}.py").read_text(encoding="utf-8")
        start = re.search(
            rf'^def {self._function}\(.*?"""([^\n"]*)', source, re.MULTILINE | re.DOTALL
        )
        return start[1] if start else ""

    def load(self) -> object:
        """Import the module of the command and return the command with its options."""
        from kinemill.cli.command import make_command

        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        command = getattr(import_module(f"kinemill.cli.{self._module}"), self._function)
        options = {"allow_extra_args": True}  # `_Command` refuses them
        single.command(self.name, cls=_Command, context_settings=options)(make_command(command))
        return typer.main.get_command(single)


class LazyGroup(TyperGroup):
    """A group of commands that imports a command when it is run or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the loaded command and the remaining arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest


_COMMANDS = {
    "init": "project.init",
    "new": "draft.new",
    "run": "run_command.run",
    "config": "task.config",
    "demo": "demo.demo",
    "ui": "server.ui",
    "doctor": "doctor.doctor",
    "examples list": "project.list_examples",
    "examples copy": "project.copy",
    "task list": "task.list_tasks",
    "task show": "task.show_task",
    "task schema": "task.print_schema",
    "data check": "data.check",
    "data join": "join.join",
    "data ingest": "data.ingest",
    "data validate": "data.validate",
    "data list": "data.list_recordings",
    "data search": "search.search_recordings",
    "data tag": "tags.tag",
    "data tags": "tags.list_tags",
    "data edit": "edits.edit",
    "data edits": "edits.list_edits",
    "data show": "quarantine.show_recording",
    "data view": "view.view",
    "data drift": "data.drift",
    "data export": "export.export_data",
    "data forget": "data.forget",
    "data quarantine list": "quarantine.list_held_back",
    "data quarantine release": "quarantine.release",
    "data quarantine reject": "quarantine.reject",
    "data quarantine undo": "quarantine.undo",
    "data datasets list": "datasets.list_versions",
    "data datasets show": "datasets.show_version",
    "model list": "models.list_models",
    "model show": "models.show_model",
    "model compare": "compare.compare",
    "model why": "promote.why",
    "model evaluate": "evaluate.evaluate",
    "model simulate": "simulate.simulate",
    "model rollout": "rollout.rollout",
    "model report": "server.report",
    "model export": "export.export",
    "model verify": "verify.verify",
    "model approve": "promote.approve",
    "model trials": "promote.trials",
    "model promote": "promote.promote",
    "model rollback": "promote.rollback",
    "model pull": "pull.pull",
    "model audit": "promote.audit",
    "model lineage": "datasets.lineage",
    "model tune": "tune.tune",
    "model transfer": "transfer.transfer",
    "admin gc": "maintenance.gc",
    "admin backup": "maintenance.backup",
    "admin restore": "maintenance.restore",
    "admin rebuild-catalog": "maintenance.rebuild_catalog",
    "admin users list": "server.list_users",
    "admin users add": "server.add_user",
    "admin users token": "server.renew_token",
    "admin users remove": "server.remove_user",
    "admin alerts list": "alerts.list_receivers",
    "admin alerts test": "alerts.send_test",
}
"""`MODULE.FUNCTION` of `kinemill.cli` of each command."""
_GROUPS = {
    "examples": ("List and copy example tasks.", "copy pendulum"),
    "task": ("List and print task files.", "show my_robot"),
    "data": ("Manage logs and datasets.", "check logs --task my_robot"),
    "data quarantine": ("Release or reject quarantined recordings.", "list my_robot"),
    "data datasets": ("List and show dataset versions.", "list my_robot"),
    "model": ("Evaluate, promote and deliver models.", "show my_robot@champion"),
    "admin": ("Manage users, disk space and backups.", "gc --budget 20GB"),
    "admin users": ("Manage users of the web pages.", "add ada --role operator"),
    "admin alerts": ("List receivers, send a test alert.", "test"),
}
"""Summary of each group, and an example that follows its name."""


class _Root(LazyGroup):
    """All commands and groups."""

    def __init__(self, **attributes: Any) -> None:
        attributes["commands"] = _members("")
        super().__init__(**attributes)


def _members(group: str) -> list[LazyCommand | LazyGroup]:
    """Return the commands of a group, then the groups in it."""
    commands = [
        LazyCommand(name.rpartition(" ")[2], path)
        for name, path in _COMMANDS.items()
        if name.rpartition(" ")[0] == group
    ]
    return [*commands, *(_group(name) for name in _GROUPS if name.rpartition(" ")[0] == group)]


def _group(name: str) -> LazyGroup:
    summary, example = _GROUPS[name]
    return LazyGroup(
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
