"""`kinemill model list` and `show`: registered versions, their errors and gate results."""

import re
from typing import Annotated

import typer

from kinemill.cli.completion import complete_model
from kinemill.cli.output import JsonOption, TaskName, document, quantity, table, wrap_text
from kinemill.store import Json

_SHORT = 16  # characters of a digest that are shown
_ADDRESS = re.compile(r"(?P<task>[^@:]+)(?P<which>[@:].+)?\Z")


def list_models(task: TaskName, as_json: JsonOption = False) -> None:
    """List the registered versions of a task.

    The newest version comes first.

    Example: kinemill model list my_robot
    """
    from kinemill.register.lookup import list_versions
    from kinemill.store.home import Home
    from kinemill.task import task_name

    summary = list_versions(task_name(task), Home.resolve())
    if as_json:
        document(summary)
        return
    is_policy = any(line["metrics"]["return"] for line in summary["versions"])
    what = "return" if is_policy else "nrmse"
    table(
        f"models of {summary['task']}",
        ["version", "aliases", "created", "dataset", what, "gate"],
        [
            [
                line["version"],
                _alias_text(line),
                line["created"][:16].replace("T", " "),
                line["dataset"][:12],
                _error(line["metrics"][what] or {}),
                _verdict(line),
            ]
            for line in summary["versions"]
        ],
    )


def _alias_text(line: Json) -> str:
    """Spell the aliases; a champion with too little test data is marked as provisional."""
    kind = "provisional " if line["provisional"] else ""
    return ", ".join(f"{kind * (one == 'champion')}{one}" for one in line["aliases"])


def _verdict(line: Json) -> str:
    from kinemill.cli.summary import spell_gate

    return "provisional" if line["provisional"] else spell_gate(line["gate"])


def _error(measured: Json) -> str:
    """Spell the error of the model; empty without a verification."""
    return quantity(measured["model"]) if "model" in measured else ""


def show_model(
    model: Annotated[
        str,
        typer.Argument(
            help="Model: TASK, TASK@alias or TASK:version.", autocompletion=complete_model
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Show one version: errors, gate, lineage and files.

    Shows the champion unless another version is named.

    Example: kinemill model show my_robot:3
    """
    from kinemill.errors import BadInput
    from kinemill.register.lookup import show as look_up
    from kinemill.store.home import Home
    from kinemill.task import task_name

    address = _ADDRESS.match(model)
    if address is None:
        raise BadInput(model, "names no version", expected="TASK, TASK@alias or TASK:version")
    name = task_name(address["task"])
    summary = look_up(name, Home.resolve(), address["which"] or "")
    if as_json:
        document(summary)
        return
    _print(summary)


def _print(summary: Json) -> None:
    from kinemill.cli.summary import errors_table, gate_table, metrics_in, tried_table

    aliases = "".join(f"@{alias}" for alias in summary["aliases"])
    typer.echo(wrap_text(summary["headline"]))
    typer.echo(f"{summary['address']} {aliases}  {summary['created']}  {summary['decision'] or ''}")
    metrics = metrics_in(summary)
    errors_table(metrics, summary["tags"].get("kinemill.reference"))
    tried_table(metrics)
    gate_table(summary["gate"])
    table(
        "lineage",
        ["what", "which"],
        [[k, (v or "")[:_SHORT]] for k, v in summary["lineage"].items()],
    )
    table("files", ["file", "sha256"], [[f, sha[:_SHORT]] for f, sha in summary["files"].items()])
    typer.echo(f"folder  {summary['folder']}\nreport  {summary['report'] or 'none'}")
