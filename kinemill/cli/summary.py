"""The tables of a run: how much data, how good, how fast, and what the gate said."""

from typing import Any

import typer

from kinemill.cli.say import spell, table

_REFERENCES = ("model", "persistence", "linear", "linear_sincos")


def run_summary(found: dict[str, Any]) -> None:
    """Print the document of `run` for a person."""
    episodes, verification = found["episodes"], found["verification"]
    title = f"{found['task']}: {found['status']}"
    rows = [
        ["episodes", f"{episodes['accepted']} accepted"],
        ["recordings", f"{episodes['quarantined']} quarantined, {episodes['known']} known before"],
        ["dataset", str(found["dataset"])[:12]],
    ]
    if verification:
        latency = verification["latency_ms"]
        rows += [
            ["verification", "passed" if verification["passed"] else "FAILED"],
            ["parity", _flat(verification["parity"])],
            ["latency", f"p50 {spell(latency['p50'])} ms, p99 {spell(latency['p99'])} ms"],
        ]
    alias = f" @{found['alias']}" if found["alias"] else ""
    rows.append(["version", f"{found['version']}{alias}" if found["version"] else "none"])
    rows.append(["took", f"{sum(found['seconds'].values()):.1f} s"])
    table(title, ["", ""], rows)
    errors_table(found["metrics"])
    gate_table(found["gate"])
    if found["report"]:
        typer.echo(f"report      {found['report']}")
    typer.echo("web pages   make ui  (or: kinemill up)")


def errors_table(metrics: dict[str, Any]) -> None:
    """Print the error at the horizon of each channel, beside what simple models reach."""
    if not metrics:
        return
    rows: list[list[Any]] = [
        [channel, line["unit"], *(line.get(name) for name in _REFERENCES)]
        for channel, line in metrics["test"].items()
    ]
    rows.append(["nrmse", "", *(metrics["nrmse"].get(name) for name in _REFERENCES)])
    table("error at the horizon", ["channel", "unit", *_REFERENCES], rows)


def gate_table(gate: list[dict[str, Any]]) -> None:
    """Print the gate's decision line by line."""
    if gate:
        rows = [[g["rule"], g["passed"], g["found"], g["wanted"]] for g in gate]
        table("gate", ["rule", "passed", "found", "wanted"], rows)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {spell(item)}" for name, item in value.items())
    return spell(value)
