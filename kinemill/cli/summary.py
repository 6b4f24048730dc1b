"""Tables of a finished run: data, errors, latency and gate results."""

from collections.abc import Sequence
from typing import Any

import typer

from kinemill.cli.output import Bad, news, quantity, spell, table, wrapped

_ACTING = ("model", "champion", "random")
_ACTIONS = ("model", "repeat", "linear")
_BESIDE = ("champion", "persistence")  # of dynamics, beside the model and the best reference


def run_summary(found: dict[str, Any], verified: dict[str, Any]) -> None:
    """Print the document of `run` as tables, with the results of the verification.

    Args:
        found: the document.
        verified: `verification.json` of the same run; empty if it did not come to that.
    """
    from kinemill.verify.findings import best_reference, own_reference

    if found.get("headline"):
        typer.echo(wrapped(found["headline"]))
    _facts_table(found)
    errors_table(found["metrics"], own_reference(verified))
    tried_table(found["metrics"])
    accuracy = verified.get("accuracy", {})
    if found["metrics"]["test"]:
        comparison_table(verified)
        growth_table(accuracy, best_reference(verified | {"metrics": found["metrics"]}))
    failed_table(found["gate"])
    if diverged := first_not_finite(accuracy):
        typer.echo(f"diverges    {diverged}: train with a longer learn.horizon or a smaller model")
    for warning in found["warnings"]:
        news(f"warning: {warning}")
    if found["report"]:
        typer.echo(f"report      {found['report']}")
    typer.echo("web pages   make ui  (or: kinemill ui)")


def _facts_table(found: dict[str, Any]) -> None:
    episodes, verification = found["episodes"], found["verification"]
    rows = [["dataset", str(found["dataset"])[:12]]]
    if any(episodes.values()):  # a policy may learn without any
        told = f"{episodes['quarantined']} quarantined, {episodes['cached']} cached"
        rows = [["episodes", f"{episodes['accepted']} accepted"], ["recordings", told], *rows]
    if selection := found.get("selection"):
        rows.append(["model", f"{selection['selected']}: {selection['why']}"])
    if verification:
        latency = verification["latency_ms"]
        rows += [
            ["verification", "passed" if verification["passed"] else "FAILED"],
            ["parity", _flat(verification["parity"])],
            ["latency", f"p50 {spell(latency['p50'])} ms, p99 {spell(latency['p99'])} ms"],
        ]
    kind = "provisional " if found.get("provisional") else ""
    alias = f" {kind}@{found['alias']}" if found["alias"] else ""
    rows.append(["version", f"{found['version']}{alias}" if found["version"] else "none"])
    if found["gate"]:
        told = "passed, on too few test data" if kind else spell_gate(found["gate"])
        rows.append(["gate", told])
    rows.append(["took", f"{sum(found['seconds'].values()):.1f} s"])
    table(f"{found['task']}: {found['status']}", ["", ""], rows)


def errors_table(
    metrics: dict[str, Any], own: str | None = None, title: str = "error at the horizon"
) -> None:
    """Print the error at the horizon of each channel, beside the best reference's and persistence.

    More references do not fit into 80 columns; the report shows all of them.

    Args:
        metrics: `test` and `nrmse` of a verification.
        own: the reference that the model is, if it is one; it is not compared with itself.
        title: of the table.
    """
    if not metrics or not metrics["test"]:
        return
    from kinemill.verify.findings import best_reference
    from kinemill.verify.labels import label

    policy = "repeat" in metrics["nrmse"]
    best = best_reference({"metrics": metrics, "model": {"reference": own}})
    names = _ACTIONS if policy else [*filter(None, ("model", best, *_BESIDE))]
    names = [name for name in dict.fromkeys(names) if name in metrics["nrmse"]]
    rows: list[list[Any]] = [
        [channel, line["unit"], *_errors(line, names)] for channel, line in metrics["test"].items()
    ]
    rows.append(["nrmse", "", *_errors(metrics["nrmse"], names)])
    heads = [f"{label(name)} (best)" if name == best else name for name in names]
    table("error of actions" if policy else title, ["channel", "unit", *heads], rows)
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


def comparison_table(verified: dict[str, Any]) -> None:
    """Print the model beside the best reference at each horizon and on each channel."""
    from kinemill.verify.comparison import FREE_RUN, NRMSE
    from kinemill.verify.findings import cells_of

    cells = cells_of(verified)
    horizons = list(dict.fromkeys(horizon for horizon, _ in cells))
    channels = list(dict.fromkeys(channel for _, channel in cells))
    rows = [
        [channel, *(_ratio(cells.get((horizon, channel))) for horizon in horizons)]
        for channel in [*(name for name in channels if name != NRMSE), NRMSE]
        if channel in channels
    ]
    if rows:
        heads = ["free run" if h == FREE_RUN else _steps(int(h)) for h in horizons]
        table("error / error of the best reference, by steps ahead", ["channel", *heads], rows)


def _ratio(cell: Any) -> Any:
    """Spell one comparison, and whether it is significant and counts."""
    if cell is None:
        return ""
    ratio = quantity(cell.comparison.ratio, 3)
    told = {"worse": "worse", "behind": "n.s.", "even": "n.s.", "uncounted": "not counted"}
    spelled = f"{ratio} {told.get(cell.state, '')}".rstrip()
    return Bad(spelled) if cell.state == "worse" else spelled


def growth_table(accuracy: dict[str, Any], reference: str | None = "linear") -> None:
    """Print how the error of each channel grows, beside that of a reference."""
    channels: dict[str, Any] = accuracy.get("model", {}).get("channels", {})
    last = max((len(line["by_step"]) for line in channels.values()), default=0)
    steps = sorted({1, (last + 1) // 2, last})  # three fit beside each other in 80 columns
    other = accuracy.get(reference or "", {}).get("channels", {})
    rows = [
        [name, line["unit"], *(_beside(line, other.get(name), step) for step in steps)]
        for name, line in channels.items()
    ]
    if rows and last > 1:
        beside = f" / {reference}" if other else ""
        title = f"error by steps ahead, model{beside}"
        table(title, ["channel", "unit", *(_steps(step) for step in steps)], rows)


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


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


def failed_table(gate: list[dict[str, Any]]) -> None:
    """Print the lines of the gate that failed; `kinemill model why` lists all of them."""
    failed = [line for line in gate if not line["passed"]]
    gate_table(failed)
    if gate:
        told = f"{len(gate) - len(failed)} of {len(gate)} rules passed"
        typer.echo(f"gate        {told}; kinemill model why lists them")


def gate_table(gate: list[dict[str, Any]]) -> None:
    """Print the gate's decision line by line."""
    if gate:
        rows = [[g["rule"], g["passed"], g["value"], g["expected"]] for g in gate]
        table("gate", ["rule", "passed", "value", "expected"], rows)


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
