"""Summary of a draft from an environment, apart from that of logs, which needs no Gymnasium."""

import typer

from kinemill.cli.output import table
from kinemill.draft.reinforcement import CheckedEnvironment
from kinemill.reports.control_characters import escape_controls


def environment_document(checked: CheckedEnvironment) -> dict[str, object]:
    """Return the conclusions of a draft from an environment as JSON."""
    task = checked.task
    trials = checked.trials
    return {
        "dt": task.dt,
        "observations": [
            n for n, channel in task.channels.items() if channel.role == "observation"
        ],
        "actions": task.actions,
        "environment": checked.draft.settings,
        "target": checked.draft.target,
        "steps": checked.draft.steps,
        "steps_per_second": checked.pace,
        "remarks": checked.draft.remarks,
        "random": {"return": trials.mean_return, "lengths": list(trials.lengths)},
    }


def show_environment(checked: CheckedEnvironment) -> None:
    """Print the conclusions of a draft from an environment."""
    draft = checked.draft
    layout = checked.draft.layout
    if layout is None:
        return
    choices = dict(zip(layout.actions, layout.choices, strict=True))
    rows = [
        (
            name,
            "action" if name in choices else "observation",
            layout.units[name],
            f"{count} choices" if (count := choices.get(name)) else _ends(layout.limits.get(name)),
        )
        for name in (*layout.observation, *layout.actions)
    ]
    title = f"{draft.name}: dt {draft.dt:g} s ({draft.dt_source}), {draft.title}"
    table(title, ("channel", "role", "unit", "range"), rows)
    for remark in (*draft.remarks, checked.budget):
        typer.echo(f"  {escape_controls(remark)}")


def _ends(ends: tuple[float, float] | None) -> str:
    return f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else ""
