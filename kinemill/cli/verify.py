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

    found = verify_folder(folder.expanduser())
    if as_json:
        document(found)
    else:
        _tell(found)
    if not found["passed"]:
        raise typer.Exit(Blocked.exit_code)


def _tell(found: dict[str, Any]) -> None:
    word = "verified" if found["passed"] else "NOT verified"
    table(
        f"{found['folder']}: {word}" + (f", a model of {found['task']}" if found["task"] else ""),
        ["passed", "check", "result", "expected"],
        [
            [line["passed"], line["name"], line["value"], line["expected"]]
            for line in found["gates"]
        ],
    )
    if "latency_ms" not in found:
        typer.echo("a file has changed, so nothing was run")
        return
    rows = [
        [what, *(times[kind] for kind in ("p50", "p90", "p99", "p99_9", "jitter"))]
        for what, times in found["latency_ms"].items()
    ]
    table("one call, ms", ["call", "p50", "p90", "p99", "p99.9", "jitter"], rows)
    cold = found["cold_start"]
    typer.echo(
        f"{found['machine']['processor']}: loaded in {cold['load_ms']:.3g} ms, first call "
        f"{cold['first_call_ms']:.3g} ms, {cold['model_mb']:.3g} MB"
    )
