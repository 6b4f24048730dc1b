"""All measurements on a GPU, in one command of at most 8 minutes: `make prove-gpu`.

Each section of SECTIONS runs in a separate process with its own time limit; a failure or timeout
becomes a row of the result, and the next section starts. Without a GPU the same code runs on the
CPU at small sizes, and the table says so. Writes `gpu.json` and `gpu.md` into OUT (default
`var/gpu`), and with `--write` the section `gpu` of docs/results-speed.md, which contains figures
of a GPU only. It needs no network. Rows marked `not run` name the package that they need.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import ROOT, replace_section
from benchmarks._gpu_rows import Bench, SectionOver

TOTAL = 470.0  # s, below 8 min with the start of Python
SHORTEST = 15.0  # s, with less left a section is not started
ON_CPU = 6.0  # times the limit of a section without a GPU, where processors may be busy
GRACE = 5.0  # s that a section has for its last case, before it is killed
PACKAGES = ("torch", "triton", "numpy", "onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True)
class Section:
    """One part of the proof.

    Attributes:
        module: with the function `measure`.
        seconds: time on a GPU within TOTAL, s; it gets more where others have left some.
    """

    module: str
    seconds: float


SECTIONS = {
    "training": Section("benchmarks._gpu_training", 280.0),
    "inference": Section("benchmarks._gpu_inference", 185.0),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, and write the report; return 1 if a row failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "gpu")
    parser.add_argument("--toy", action="store_true", help="toy size on the CPU, as without a GPU")
    parser.add_argument("--seconds", type=float, default=TOTAL, help="for all sections together")
    parser.add_argument("--write", action="store_true", help="rewrite docs/results-*.md")
    parser.add_argument("--section", help=argparse.SUPPRESS)
    parser.add_argument("--module", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.section:
        return run_section(options)
    report = prove(options.out, options.seconds, is_toy=options.toy or not has_gpu())
    print(as_table(report))
    if options.write and report["machine"]["gpu"]:
        replace_section("gpu", as_table(report))
    return int(any(row["status"] == "failed" for row in report["rows"]))


def has_gpu() -> bool:
    """Return whether torch finds a CUDA device."""
    import torch

    return torch.cuda.is_available()


def prove(out: Path, seconds: float, *, is_toy: bool) -> dict[str, Any]:
    """Run the sections one after the other, and return the report that is also in `out`.

    Args:
        out: folder of `gpu.json`, `gpu.md` and a log per section.
        seconds: for all of them together.
        is_toy: whether to run at toy size on the CPU.
    """
    out.mkdir(parents=True, exist_ok=True)
    began, names, rows = time.monotonic(), list(SECTIONS), list[dict[str, Any]]()
    report = {"machine": machine(is_toy=is_toy), "seconds": 0.0, "rows": rows}
    for number, name in enumerate(names):
        remaining = seconds - (time.monotonic() - began) - GRACE
        if remaining < SHORTEST:
            rows.append(_section_row(name, "not run", "the time was over"))
        else:
            share = SECTIONS[name].seconds / sum(SECTIONS[one].seconds for one in names[number:])
            limit = min(remaining, remaining * share * (ON_CPU if is_toy else 1.0))
            rows += in_process(name, out, limit, is_toy=is_toy)
        report["seconds"] = round(time.monotonic() - began, 1)
        (out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
        (out / "gpu.md").write_text(as_table(report))
    return report


def in_process(name: str, out: Path, limit: float, *, is_toy: bool) -> list[dict[str, Any]]:
    """Run one section in a process of its own; return its rows, and one more if it ended early."""
    lines, log = out / f"{name}.jsonl", out / f"{name}.log"
    lines.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu", "--section", name, "--out", str(out)]
    command += ["--module", SECTIONS[name].module, "--seconds", str(limit)]
    command += ["--toy"] if is_toy else []
    # cuBLAS reads it when it starts; deterministic trainings need it.
    environment = os.environ | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    with log.open("w") as file:
        # A group of its own, so that trainings that a section started end with it.
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended = ""
        try:
            if code := process.wait(limit + GRACE):
                last = log.read_text(errors="replace").strip().splitlines()[-1:] or [""]
                ended = f"ended with {code}: {last[0][:200]}"
        except subprocess.TimeoutExpired:
            ended = f"killed after {limit + GRACE:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    rows = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    return [*rows, *([_section_row(name, "failed", ended)] if ended else [])]


def run_section(options: argparse.Namespace) -> int:
    """Run one section in this process."""
    report = options.out / f"{options.section}.jsonl"
    ends = time.monotonic() + options.seconds
    module: Any = importlib.import_module(options.module)
    try:
        module.measure(Bench(options.section, report, options.toy, ends))
    except SectionOver:
        print("the time was over", file=sys.stderr)
    return 0


def _section_row(name: str, status: str, note: str) -> dict[str, Any]:
    return {"section": name, "work": "whole section", "status": status, "note": note}


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
        import torch

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
