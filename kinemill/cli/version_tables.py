"""Tables of registered versions: a list, one version, and a change of champion."""

from collections.abc import Mapping

import typer

from kinemill.cli.output import Output, Table, notify, quantity, short_path, table, wrap_text
from kinemill.cli.summary import errors_table, gate_table, spell_gate, tried_table
from kinemill.register.champion_change import ChampionChange
from kinemill.register.lookup import VersionDocument, VersionList

_SHORT = 16  # displayed characters of a digest


def version_list(listed: VersionList) -> Table:
    """Return the versions of a task, newest first."""
    is_policy = any(line.metrics.returns for line in listed.versions)
    what = "return" if is_policy else "nrmse"
    return Table(
        f"models of {listed.task}",
        ["version", "is", "created", "dataset", what, "gate"],
        [
            [
                line.version,
                line.status,
                line.created[:16].replace("T", " "),
                line.dataset,
                _error(line.metrics.by_name(what)),
                "provisional" if line.provisional else spell_gate(line.gate),
            ]
            for line in listed.versions
        ],
    )


def _error(measured: Mapping[str, float]) -> str:
    """Return the error of the model as text; empty without a verification."""
    return quantity(measured["model"]) if "model" in measured else ""


def version_page(version: VersionDocument) -> None:
    """Print one version: errors, gate, lineage and files."""
    typer.echo(wrap_text(version.headline))
    typer.echo(f"{version.address}  {version.status}, of {version.created[:16].replace('T', ' ')}")
    if version.trials:
        typer.echo(f"trials on the robot  {version.trials}")
    errors_table(version.metrics, version.tags.get("kinemill.reference"))
    tried_table(version.metrics)
    gate_table(version.gate)
    lineage = [[name, value[:_SHORT]] for name, value in version.lineage.items() if value]
    table("lineage", ["what", "which"], lineage)
    table("files", ["file", "sha256"], [[f, sha[:_SHORT]] for f, sha in version.files.items()])
    typer.echo(f"folder  {short_path(version.folder)}")
    typer.echo(f"report  {short_path(version.report) if version.report else 'none'}")


def champion_change(change: ChampionChange, exit_code: int = 0) -> Output:
    """Return the result of a manual decision, with the failed rules."""
    aliases = "".join(f" @{alias}" for alias in change.aliases)
    previous = change.previous_champion
    replaced = f", replacing version {previous}" if previous and "@champion" in aliases else ""
    notes = [f"programs that ran version {previous}: {line}" for line in change.differs]
    if change.provisional:
        notes.insert(0, f"provisional champion: {change.provisional}")
    return Output(
        change,
        f"{change.task}:{change.version}{aliases}{replaced}",
        lambda: notify(*map(wrap_text, notes)),
        lambda: gate_table([line for line in change.gate if not line.passed]),
        exit_code=exit_code,
    )
