"""Export commands: a model to a portable folder, episodes to other file formats."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import ModelName, Output, TaskName, notify, wrap_text
from kinemill.store import Home, to_json_value


def export(
    model: ModelName,
    to: Annotated[Path, typer.Option()],
    c99: bool = False,
) -> Output:
    """Copy a registered model to a portable folder.

    Exports the champion unless another version is named.

    Example: kinemill model export my_robot:3 --to model

    Args:
        to: Output folder; must be new or empty.
        c99: Also write C code, compared with the ONNX file.
    """
    from kinemill.api.models import address_of
    from kinemill.export.bundle import deliver
    from kinemill.register.versions import bundle_folder, find_version

    task, which = address_of(model)
    home = Home.resolve()
    version = find_version(home, task.name, which or "@champion")
    summary = deliver(bundle_folder(home, version), to.expanduser().resolve(), c99=c99)
    text = ""
    if made := summary.c99:
        text = (
            f"C99: {made.weights} bytes of constants, {made.scratch} of stack, "
            f"{made.latency_us.p50:.3g} us a step here, {made.latency_us.worst:.3g} us "
            f"at worst; within {made.difference:.1g} of the model"
        )
    return Output(
        to_json_value(summary) | {"task": task.name, "version": version.number},
        f"{task.name} version {version.number}: {len(summary.files)} files in {to}",
        *([wrap_text(text)] if text else []),
        lambda: notify(f"test it on the target machine: python -m kinemill.runtime verify {to}"),
    )


def export_data(
    task: TaskName,
    to: Annotated[str, typer.Option()],
    out: Path | None = None,
    version: str = "latest",
) -> Output:
    """Write the episodes of a dataset version to files.

    The folder also gets a task file that reads them.

    Example: kinemill data export my_robot --to lerobot

    Args:
        to: Format: csv, hdf5, lerobot, mcap or parquet.
        out: Output folder; must be new. Default: in the home.
        version: Version number, digest prefix, or latest.
    """
    from kinemill.dataset.exporters import export_data as write
    from kinemill.task import load_task

    report = write(load_task(task), Home.resolve(), to, out.resolve() if out else None, version)
    counts = ", ".join(f"{number} {split}" for split, number in report.episodes.items())
    omitted = f"omitted, because {to} does not support them: {', '.join(report.left_out)}"
    return Output(
        report,
        f"{report.task}/v{report.version} as {report.format}: {counts} episodes, "
        f"{report.rows} rows, {report.files} files in {report.folder}",
        *([lambda: notify(f"{omitted}; hdf5 does")] if report.left_out else []),
    )
