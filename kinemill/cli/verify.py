"""`kinemill model verify`: check an exported model folder without its training data."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, document, table
from kinemill.errors import Blocked
from kinemill.verify.bundle import FolderCheck, verify_folder


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder with rollout.onnx or policy.onnx.")],
    as_json: JsonOption = False,
) -> None:
    """Verify an exported model folder.

    Refuses unsafe files, compares hashes, and runs the model.

    Example: kinemill model verify path/to/model
    """
    result = verify_folder(folder.expanduser())
    if as_json:
        document(result)
    else:
        _print(result)
    if not result.passed:
        raise typer.Exit(Blocked.exit_code)


def _print(result: FolderCheck) -> None:
    verdict = "verified" if result.passed else "NOT verified"
    table(
        f"{result.folder}: {verdict}" + (f", a model of {result.task}" if result.task else ""),
        ["passed", "check", "result", "expected"],
        [[line.passed, line.name, line.value, line.expected] for line in result.gates],
    )
    start_times, machine = result.cold_start, result.machine
    if start_times is None or machine is None:
        typer.echo("a file has changed; the model was not run")
        return
    rows = [
        [what, times.p50, times.p90, times.p99, times.p99_9, times.jitter]
        for what, times in result.latency_ms.items()
    ]
    table("one call, ms", ["call", "p50", "p90", "p99", "p99.9", "jitter"], rows)
    typer.echo(
        f"{machine.processor}: loaded in {start_times.load_ms:.3g} ms, first call "
        f"{start_times.first_call_ms:.3g} ms, {start_times.model_mb:.3g} MB"
    )
