"""`kinemill model verify`: check an exported model folder without its training data."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, document, table
from kinemill.errors import Blocked


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder with rollout.onnx or policy.onnx.")],
    as_json: JsonOption = False,
) -> None:
    """Verify an exported model folder.

    Refuses unsafe files, compares hashes, and runs the model.

    Example: kinemill model verify path/to/model
    """
    from kinemill.verify.bundle import verify_folder

    result = verify_folder(folder.expanduser())
    if as_json:
        document(result)
    else:
        verdict = "verified" if result.passed else "NOT verified"
        task = f", a model of {result.task}" if result.task else ""
        lines = [[line.passed, line.name, line.value, line.expected] for line in result.gates]
        table(f"{result.folder}: {verdict}{task}", ["passed", "check", "result", "expected"], lines)
        if result.cold_start is None or result.machine is None:
            typer.echo("a file has changed; the model was not run")
        else:
            rows = [
                [call, times.p50, times.p90, times.p99, times.p99_9, times.jitter]
                for call, times in result.latency_ms.items()
            ]
            table("one call, ms", ["call", "p50", "p90", "p99", "p99.9", "jitter"], rows)
            typer.echo(
                f"{result.machine.processor}: loaded in {result.cold_start.load_ms:.3g} ms, first "
                f"call {result.cold_start.first_call_ms:.3g} ms, "
                f"{result.cold_start.model_mb:.3g} MB"
            )
    if not result.passed:
        raise typer.Exit(Blocked.exit_code)
