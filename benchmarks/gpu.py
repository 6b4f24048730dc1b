"""All measurements on a GPU, in one command of at most 8 minutes: `make prove-gpu`.

Each section of SECTIONS runs in a separate process with its own time limit; a failure or timeout
becomes a row of the result, and the next section starts. Without a GPU the same code runs on the
CPU at small sizes, and the table says so. Writes `gpu.json` and `gpu.md` into OUT (default
`var/gpu`), and with `--write` the section `gpu` of docs/results-speed.md, which contains figures
of a GPU only. Rows that an earlier call left in OUT for other sections are kept, so that parts of
the whole can be run on their own. It needs no network. Rows marked `not run` name the package that
they need.
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
MANY = 4  # cases of one work, of which the table has the largest figure alone
PACKAGES = ("torch", "triton", "numpy", "onnxruntime", "onnxruntime-gpu", "mujoco", "mujoco-warp")


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
    "training": Section("benchmarks._gpu_training", 130.0),
    "correctness": Section("benchmarks._gpu_correctness", 100.0),
    "models": Section("benchmarks._gpu_models", 30.0),
    "inference": Section("benchmarks._gpu_inference", 85.0),
    "search": Section("benchmarks._gpu_search", 35.0),
    "pixels": Section("benchmarks._gpu_pixels", 15.0),
    "simulation": Section("benchmarks._gpu_simulation", 75.0),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, and write the report; return 1 if a row failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "gpu")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--toy", action="store_true", help="toy size on the CPU, as without a GPU")
    parser.add_argument("--seconds", type=float, default=TOTAL, help="for all sections together")
    parser.add_argument("--write", action="store_true", help="rewrite docs/results-*.md")
    parser.add_argument("--section", help=argparse.SUPPRESS)
    parser.add_argument("--module", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.section:
        return run_section(options)
    report = prove(options.only, options.out, options.seconds, is_toy=options.toy or not has_gpu())
    print(as_table(report))
    if options.write and report["machine"]["gpu"]:
        replace_section("gpu", as_table(report))
    return int(any(row["status"] == "failed" for row in report["rows"]))


def has_gpu() -> bool:
    """Return whether torch finds a CUDA device."""
    import torch

    return torch.cuda.is_available()


def prove(names: Sequence[str], out: Path, seconds: float, *, is_toy: bool) -> dict[str, Any]:
    """Run sections one after the other, and return the report that is also in `out`.

    Args:
        names: of SECTIONS.
        out: folder of `gpu.json`, `gpu.md` and a log per section.
        seconds: for all of them together.
        is_toy: whether to run at toy size on the CPU.
    """
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    about = machine(is_toy=is_toy)
    earlier, rows = _earlier(out / "gpu.json", about), dict[str, list[dict[str, Any]]]()
    report = {"machine": about, "seconds": 0.0, "rows": list[Any]()}
    for number, name in enumerate(names):
        remaining = seconds - (time.monotonic() - began) - GRACE
        if remaining < SHORTEST:
            rows[name] = [_section_row(name, "not run", "the time was over")]
        else:
            share = SECTIONS[name].seconds / sum(SECTIONS[one].seconds for one in names[number:])
            limit = min(remaining, remaining * share * (ON_CPU if is_toy else 1.0))
            rows[name] = in_process(name, out, limit, is_toy=is_toy)
        report["seconds"] = round(earlier["seconds"] + time.monotonic() - began, 1)
        others = [row for row in earlier["rows"] if row["section"] not in rows]
        report["rows"] = others + [row for of_section in rows.values() for row in of_section]
        (out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
        (out / "gpu.md").write_text(as_table(report))
    return report


def _earlier(file: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Return the report of an earlier call on the same machine and day, or an empty one."""
    if file.exists():
        report = json.loads(file.read_text())
        if all(
            report["machine"][key] == value for key, value in about.items() if key != "versions"
        ):
            return report
    return {"seconds": 0.0, "rows": []}


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
    for rows in _grouped(report["rows"]):
        first = rows[0]
        if first["section"] != section:
            section = first["section"]
            lines += ["", f"| {section} | figure | result |", "|---|---|---|"]
        result = "" if first["status"] == "measured" else first["status"]
        goal = f" (goal: {first['goal']})" if first.get("goal") else ""
        result = ": ".join(filter(None, [f"{result}{goal}".strip(), first.get("note", "")]))
        cells = [*_work_and_figures(rows), result]
        lines.append(f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _grouped(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Group rows: `CASE: PART` with a row `CASE`, else with rows alike of the same PART."""
    groups = dict[tuple[str, ...], list[dict[str, Any]]]()
    for row in rows:
        case, _, part = row["work"].partition(": ")
        key = (row["section"], case)
        if not part or key not in groups:
            shared = (part, row.get("unit", ""), row.get("goal", ""), row["status"])
            is_alone = not part or row.get("note")
            key = (row["section"], row["work"]) if is_alone else (row["section"], *shared)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _work_and_figures(rows: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Return the cells `work` and `figure` of a group; a failed figure is marked."""
    first = rows[0]
    figures = ["" if row.get("value") is None else f"{row['value']:,.4g}" for row in rows]
    units = [row.get("unit", "") for row in rows]
    with_unit = [f"{figure} {unit}".strip() for figure, unit in zip(figures, units, strict=True)]
    if len(rows) == 1:
        return first["work"], with_unit[0]
    names = [row["work"].partition(": ") for row in rows]
    part = names[0][2]
    if part and len(rows) > MANY:
        worst = max(range(len(rows)), key=lambda number: rows[number].get("value") or 0.0)
        largest = f"largest {with_unit[worst]} ({names[worst][0]})"
        return part, f"{len(rows)} cases, {largest}"
    if part:
        cases = [f"{name[0]} {figure}" for name, figure in zip(names, figures, strict=True)]
        return part, f"{'; '.join(cases)} {units[0]}".strip()
    marks = [" (failed)" if row["status"] == "failed" else "" for row in rows]
    details = [
        f"{name[2]} {figure}{mark}"
        for name, figure, mark in zip(names[1:], with_unit[1:], marks[1:], strict=True)
    ]
    return first["work"], "; ".join([with_unit[0], *details])


if __name__ == "__main__":
    sys.exit(main())
