"""The tables of a run: how much data, how good, how fast, and what the gate said."""

from collections.abc import Sequence
from typing import Any

import typer

from kinemill.cli.say import news, quantity, spell, table

_ACTING = ("model", "champion", "random")
_ACTIONS = ("model", "repeat", "linear")
_REFERENCES = ("model", "persistence", "linear", "linear_sincos")


def run_summary(found: dict[str, Any], accuracy: dict[str, Any]) -> None:
    """Print the document of `run` for a person, and how the errors grow over the horizon."""
    episodes, verification = found["episodes"], found["verification"]
    title = f"{found['task']}: {found['status']}"
    rows = [["dataset", str(found["dataset"])[:12]]]
    if any(episodes.values()):  # a policy may learn without any
        told = f"{episodes['quarantined']} quarantined, {episodes['known']} known before"
        rows = [["episodes", f"{episodes['accepted']} accepted"], ["recordings", told], *rows]
    if verification:
        latency = verification["latency_ms"]
        rows += [
            ["verification", "passed" if verification["passed"] else "FAILED"],
            ["parity", _flat(verification["parity"])],
            ["latency", f"p50 {spell(latency['p50'])} ms, p99 {spell(latency['p99'])} ms"],
        ]
    alias = f" @{found['alias']}" if found["alias"] else ""
    rows.append(["version", f"{found['version']}{alias}" if found["version"] else "none"])
    if found["gate"]:
        rows.append(["gate", spell_gate(found["gate"])])
    rows.append(["took", f"{sum(found['seconds'].values()):.1f} s"])
    table(title, ["", ""], rows)
    errors_table(found["metrics"])
    tried_table(found["metrics"])
    if found["metrics"]["test"]:
        growth_table(accuracy)
    gate_table(found["gate"])
    if diverged := first_not_finite(accuracy):
        typer.echo(f"diverges    {diverged}: train with a longer learn.horizon or a smaller model")
    for warning in found["warnings"]:
        news(f"warning: {warning}")
    if found["report"]:
        typer.echo(f"report      {found['report']}")
    typer.echo("web pages   make ui  (or: kinemill up)")


def errors_table(metrics: dict[str, Any]) -> None:
    """Print the error at the horizon of each channel, beside what simple models reach."""
    if not metrics or not metrics["test"]:
        return
    names = _ACTIONS if "repeat" in metrics["nrmse"] else _REFERENCES
    rows: list[list[Any]] = [
        [channel, line["unit"], *_errors(line, names)] for channel, line in metrics["test"].items()
    ]
    rows.append(["nrmse", "", *_errors(metrics["nrmse"], names)])
    what = "error of actions" if names is _ACTIONS else "error at the horizon"
    table(what, ["channel", "unit", *names], rows)
    tell_notes(metrics["test"])


def tell_notes(channels: dict[str, Any]) -> None:
    """Print what has to be known of the error of a channel."""
    for channel, line in channels.items():
        if "note" in line:
            typer.echo(f"{channel}: {line['note']}")


def _errors(line: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Spell the errors of some models; nothing for one that was not measured."""
    return [quantity(line[name]) if name in line else "" for name in names]


def tried_table(metrics: dict[str, Any]) -> None:
    """Print what a policy brings in its environment, beside the champion and chance."""
    rows = [
        [name, *_errors({k: v for k, v in metrics[name].items() if v is not None}, _ACTING)]
        for name in ("return", "success")
        if metrics.get(name)
    ]
    if rows:
        table("in the environment, on average", ["", *_ACTING], rows)


def growth_table(accuracy: dict[str, Any]) -> None:
    """Print how the error of each channel grows, beside the linear model's on the same history."""
    channels: dict[str, Any] = accuracy.get("model", {}).get("channels", {})
    last = max((len(line["by_step"]) for line in channels.values()), default=0)
    steps = sorted({1, (last + 1) // 2, last})  # three fit beside each other in 80 columns
    linear = accuracy.get("linear", {}).get("channels", {})
    rows = [
        [name, line["unit"], *(_beside(line, linear.get(name), step) for step in steps)]
        for name, line in channels.items()
    ]
    if rows and last > 1:
        names = [f"{step} steps" if step > 1 else "1 step" for step in steps]
        table("error by steps ahead, model / linear", ["channel", "unit", *names], rows)


def first_not_finite(accuracy: dict[str, Any]) -> str | None:
    """Say from which step ahead the model's predictions on test data are not finite, if any are."""
    found = [
        (step, name)
        for name, line in accuracy.get("model", {}).get("channels", {}).items()
        for step, error in enumerate(line["by_step"], 1)
        if error is None
    ]
    if not found:
        return None
    step, name = min(found)
    return f"predictions of {name} are not finite from {step} steps ahead on"


def _beside(line: dict[str, Any], other: dict[str, Any] | None, step: int) -> str:
    values = [quantity(found["by_step"][step - 1], 2) for found in (line, other) if found]
    return " / ".join(values)


def gate_table(gate: list[dict[str, Any]]) -> None:
    """Print the gate's decision line by line."""
    if gate:
        rows = [[g["rule"], g["passed"], g["found"], g["wanted"]] for g in gate]
        table("gate", ["rule", "passed", "found", "wanted"], rows)


def spell_gate(gate: list[dict[str, Any]]) -> str:
    """Spell the decision of the gate: which rules refused."""
    refused = [line["rule"] for line in gate if not line["passed"]]
    if refused == ["approval"]:
        return "waits for approval"
    return f"refused: {', '.join(refused)}" if refused else "passed" if gate else "not decided"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {spell(item)}" for name, item in value.items())
    return spell(value)
