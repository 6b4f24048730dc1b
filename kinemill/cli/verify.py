"""`kinemill model verify`: check an exported model folder without its training data."""

from pathlib import Path

from kinemill.cli.output import Output, Table
from kinemill.errors import Blocked


def verify(
    folder: Path,
) -> Output:
    """Verify an exported model folder.

    Refuses unsafe files, compares hashes, and runs the model.

    Example: kinemill model verify path/to/model

    Args:
        folder: Folder with rollout.onnx or policy.onnx.
    """
    from kinemill.verify.bundle import verify_folder

    result = verify_folder(folder.expanduser())
    verdict = "verified" if result.passed else "NOT verified"
    task = f", a model of {result.task}" if result.task else ""
    lines = [[line.passed, line.name, line.value, line.expected] for line in result.gates]
    parts: list[str | Table] = ["a file has changed; the model was not run"]
    if result.cold_start is not None and result.machine is not None:
        columns = ["p50", "p90", "p99", "p99.9", "jitter"]
        rows = [
            [call, times.p50, times.p90, times.p99, times.p99_9, times.jitter]
            for call, times in result.latency_ms.items()
        ]
        start = result.cold_start
        parts = [
            Table("one call, ms", ["call", *columns], rows),
            f"{result.machine.processor}: loaded in {start.load_ms:.3g} ms, first call "
            f"{start.first_call_ms:.3g} ms, {start.model_mb:.3g} MB",
        ]
    title = f"{result.folder}: {verdict}{task}"
    return Output(
        result,
        Table(title, ["passed", "check", "result", "expected"], lines),
        *parts,
        exit_code=0 if result.passed else Blocked.exit_code,
    )
