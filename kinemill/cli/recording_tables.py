"""Table of the drift check of recordings."""

import typer

from kinemill.cli.output import quantity, table, wrap_text
from kinemill.validate.drift.documents import DriftReport


def drift_table(report: DriftReport) -> None:
    """Print the new episodes with their errors, or why nothing was evaluated."""
    champion = report.champion
    counts = report.counts
    if champion is None:
        typer.echo(f"{report.task}: nothing was evaluated, {report.status}: {report.why}")
        return
    if not report.episodes:
        typer.echo(f"no new episode: champion version {champion.version} knows all of them")
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
    errors = ", ".join(
        f"{key} {quantity(usual[key], 3)} {unit}" for key, unit in champion.units.items()
    )
    verdict = (
        f"{counts.drift} of {counts.episodes} new episodes drift from champion version "
        f"{champion.version}: an error over {report.factor:g} times the usual, "
        f"{report.horizon} steps ({report.seconds:g} s) ahead"
    )
    typer.echo(f"{wrap_text(verdict)}\n{wrap_text(f'held-out error: {errors}')}")
    for drifting in report.drifting:
        typer.echo(wrap_text(f"{drifting.name}: {drifting.message}"))
