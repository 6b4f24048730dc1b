"""Tables of recordings: results of reprocessing and of the drift check."""

import typer

from kinemill.cli.output import quantity, table
from kinemill.validate.drift.documents import DriftReport
from kinemill.validate.reprocess import ReprocessReport


def reprocess_table(report: ReprocessReport) -> None:
    """Print the changed rules and the number of processed recordings."""
    if report.changed:
        rules = [[change.stage, change.rule, change.old, change.new] for change in report.changed]
        table("rules that changed", ["stage", "rule", "old", "new"], rules)
    rows = [
        ["ingest", report.recordings.cached, report.recordings.processed],
        ["validate", report.episodes.cached, report.episodes.processed],
    ]
    table(f"recordings of {report.task}", ["", "cached", "processed"], rows)
    typer.echo(
        f"{report.accepted} episodes accepted, {report.quarantined} recordings in quarantine; "
        f"{report.datasets} dataset versions remain readable\n"
        f"kinemill run {report.task} creates a new one if episodes changed"
    )


def drift_table(report: DriftReport) -> None:
    """Print the new episodes with their errors, or why nothing was evaluated."""
    champion = report.champion
    counts = report.counts
    if champion is None:
        typer.echo(f"{report.task}: nothing was evaluated, {report.status}: {report.why}")
        return
    rows = [
        [
            *(episode.episode, episode.name, episode.verdict, episode.worst, episode.ratio),
            max(episode.stability.values()),
        ]
        for episode in report.episodes
    ]
    columns = ["episode", "name", "verdict", "worst", "ratio", "PSI"]
    table(f"new episodes of {report.task}", columns, rows)
    usual = champion.held_out
    typer.echo(
        f"{counts.drift} of {counts.episodes} new episodes drift from champion version "
        f"{champion.version}: an error over {report.factor:g} times the usual, "
        f"{report.horizon} steps ({report.seconds:g} s) ahead\n"
        "held-out error: "
        + ", ".join(
            f"{key} {quantity(usual[key], 3)} {unit}" for key, unit in champion.units.items()
        )
    )
    for drifting in report.drifting:
        typer.echo(f"{drifting.name}: {drifting.message}")
