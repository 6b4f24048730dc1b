"""All measurements on a GPU, in one command of at most 8 minutes: `make prove-gpu`.

Each section of SECTIONS has its own time limit; a case that fails becomes a row of the result, and
the next case starts. Without a GPU the same code runs on the CPU at small sizes, and the table says
so. Writes `gpu.json` into OUT (default `var/gpu`), and with `--write` the section `gpu` of
docs/results-speed.md, which contains figures of a GPU only. It needs no network. Rows marked `not
run` name the package that they need.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks import ROOT, _gpu_inference, _gpu_training, replace_section
from benchmarks._gpu_rows import Bench, SectionOver

SECTIONS: dict[str, Callable[[Bench], None]] = {
    "training": _gpu_training.measure,
    "inference": _gpu_inference.measure,
}
SECONDS = {"training": 280.0, "inference": 185.0}  # on a GPU, below 8 min with the start of Python
PACKAGES = ("torch", "triton", "numpy", "onnxruntime", "onnxruntime-gpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, and write the report; return 1 if a row failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "gpu")
    parser.add_argument("--toy", action="store_true", help="toy size on the CPU, as without a GPU")
    parser.add_argument("--write", action="store_true", help="rewrite docs/results-*.md")
    options = parser.parse_args(arguments)
    report = prove(options.out, SECONDS, is_toy=options.toy or not torch.cuda.is_available())
    print(as_table(report))
    if options.write and report["machine"]["gpu"]:
        replace_section("gpu", as_table(report))
    return int(any(row["status"] == "failed" for row in report["rows"]))


def prove(out: Path, seconds: Mapping[str, float], *, is_toy: bool) -> dict[str, Any]:
    """Run sections one after the other, and return the report that is also in `out`.

    Args:
        out: folder of `gpu.json`.
        seconds: limit of each section; at toy size without one, because processors may be busy.
        is_toy: whether to run at toy size on the CPU.
    """
    out.mkdir(parents=True, exist_ok=True)
    began, rows = time.monotonic(), list[dict[str, Any]]()
    report = {"machine": machine(is_toy=is_toy), "seconds": 0.0, "rows": rows}
    for name, measure in SECTIONS.items():
        ends = float("inf") if is_toy else time.monotonic() + seconds[name]
        with suppress(SectionOver):
            measure(Bench(name, rows, is_toy, ends))
        report["seconds"] = round(time.monotonic() - began, 1)
        (out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def machine(*, is_toy: bool) -> dict[str, Any]:
    """Return date, card, driver and versions; without a GPU `gpu` is None."""
    about: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "gpu": None,
        "versions": {name: _version(name) for name in PACKAGES},
    }
    if not is_toy:
        card = torch.cuda.get_device_properties(0)
        about["gpu"] = card.name
        about["gpu_memory_gib"] = round(card.total_memory / 2**30, 1)
        about["cuda"] = torch.version.cuda
    return about


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def as_table(report: dict[str, Any]) -> str:
    """Return the report as Markdown: a line about the machine, and the rows."""
    about = report["machine"]
    versions = ", ".join(f"{name} {one}" for name, one in about["versions"].items() if one)
    if about["gpu"]:
        where = f"{about['gpu']}, CUDA {about['cuda']}"
    else:
        where = "**No GPU: the same code at toy size on the CPU. The figures mean nothing.**"
    lines = [
        f"{about['date']}, {where}; {about['processors']} processors, Python {about['python']}, "
        f"{versions}; {report['seconds']:.0f} s.",
    ]
    section = ""
    for row in report["rows"]:
        if row["section"] != section:
            section = row["section"]
            lines += ["", f"| {section} | figure | result |", "|---|---|---|"]
        figure = "" if row.get("value") is None else f"{row['value']:,.4g} {row['unit']}"
        result = "" if row["status"] == "measured" else row["status"]
        goal = f" (goal: {row['goal']})" if row.get("goal") else ""
        result = ": ".join(filter(None, [f"{result}{goal}".strip(), row.get("note", "")]))
        cells = [row["work"], figure, result]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
