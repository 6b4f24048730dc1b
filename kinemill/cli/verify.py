"""`kinemill model verify`: check an exported model folder without its training data."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.output import Json, document, table
from kinemill.errors import Blocked


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder with rollout.onnx or policy.onnx.")],
    as_json: Json = False,
) -> None:
    """Verify an exported model folder.

    Refuses unsafe files, compares hashes, and runs the model.

    Example: kinemill model verify path/to/model
    """
    from kinemill.verify.bundle import verify_folder

    summary = verify_folder(folder.expanduser())
    if as_json:
        document(summary)
    else:
        _print(summary)
    if not summary["passed"]:
        raise typer.Exit(Blocked.exit_code)


def _print(summary: dict[str, Any]) -> None:
    verdict = "verified" if summary["passed"] else "NOT verified"
    table(
        f"{summary['folder']}: {verdict}"
        + (f", a model of {summary['task']}" if summary["task"] else ""),
        ["passed", "check", "result", "expected"],
        [
            [line["passed"], line["name"], line["value"], line["expected"]]
            for line in summary["gates"]
        ],
    )
    if "latency_ms" not in summary:
        typer.echo("a file has changed, so nothing was run")
        return
    rows = [
        [what, *(times[kind] for kind in ("p50", "p90", "p99", "p99_9", "jitter"))]
        for what, times in summary["latency_ms"].items()
    ]
    table("one call, ms", ["call", "p50", "p90", "p99", "p99.9", "jitter"], rows)
    cold_start = summary["cold_start"]
    typer.echo(
        f"{summary['machine']['processor']}: loaded in {cold_start['load_ms']:.3g} ms, first call "
        f"{cold_start['first_call_ms']:.3g} ms, {cold_start['model_mb']:.3g} MB"
    )
