"""Benchmarks, one module each: `python -m benchmarks.NAME --json`, or `make bench` for all.

Every figure is the median of interleaved rounds in one process, so that ratios hold on a machine
whose speed drifts; absolute numbers depend on the machine.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "tasks"
ROUNDS = 7
os.environ.setdefault("KINEMILL_TASKS", str(EXAMPLES))  # so that examples are found by name

Row = dict[str, Any]


def interleaved(cases: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median seconds of one call of each case, taken in turn after one warm-up."""
    for call in cases.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, call in cases.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call, those of ended child processes included."""
    began = _cpu_clock()
    call()
    return _cpu_clock() - began


def _cpu_clock() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def paired(
    work: str,
    unit: str,
    amount: float,
    cases: dict[str, Callable[[], object]],
    rounds: int = ROUNDS,
) -> Row:
    """Return a row of `amount` by CPU second: the first case is ours, and all are called in turn.

    Ratios are medians of the ratios in each round, with their minimum and maximum. CPU seconds vary
    less than wall time on a machine with other load.
    """
    if rounds > 1:
        for call in cases.values():
            call()  # a warm-up
    seconds = [[cpu_seconds(call) for call in cases.values()] for _ in range(rounds)]
    ours, *peers = zip(*seconds, strict=True)
    names = list(cases)[1:]
    ratios = {
        name: [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]
        for name, peer in zip(names, peers, strict=True)
    }
    medians = [amount / statistics.median(peer) for peer in peers]
    return {
        "work": work,
        "unit": unit,
        "ours": amount / statistics.median(ours),
        "references": dict(zip(names, medians, strict=True)),
        "ratios": {name: statistics.median(values) for name, values in ratios.items()},
        "spread": {name: [min(values), max(values)] for name, values in ratios.items()},
        "load": os.getloadavg()[0],
    }


def row(work: str, unit: str, ours: float, references: dict[str, float]) -> Row:
    """Return one row of a result table; ratios are ours over theirs, so above 1 is faster."""
    return {
        "work": work,
        "unit": unit,
        "ours": ours,
        "references": references,
        "ratios": {name: ours / value for name, value in references.items()},
    }


def main(name: str, measure: Callable[[], list[Row]]) -> None:
    """Run one benchmark: a JSON document with `--json`, else a table; `--write` keeps it."""
    rows = measure()
    if "--write" in sys.argv:
        replace_section(name, table(rows))
    if "--json" in sys.argv:
        print(json.dumps({"rows": rows}))
    else:
        print(f"## {name}\n\n{table(rows)}")


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table; a ratio has its spread over the rounds if it is known."""
    lines = ["| work | kinemill | reference: figure, ratio |", "|---|---|---|"]
    for each in rows:
        references = list[str]()
        for reference, value in each["references"].items():
            low, high = each.get("spread", {}).get(reference, (None, None))
            ratio_range = "" if low is None else f" ({low:.2f} to {high:.2f})"
            references.append(
                f"{reference}: {value:,.3g}, {each['ratios'][reference]:.2f}{ratio_range}"
            )
        ours = f"{each['ours']:,.3g} {each['unit']}"
        load = f" (load {each['load']:.1f})" if "load" in each else ""
        lines.append(f"| {each['work']}{load} | {ours} | {'; '.join(references)} |")
    return "\n".join(lines) + "\n"


def read_section(name: str) -> str:
    """Return the text between the markers of section `name` in docs/results-*.md."""
    _, (_, text, _) = _section(name)
    return text


def replace_section(name: str, text: str) -> None:
    """Put `text` between the markers of section `name` in docs/results-*.md."""
    page, (head, _, tail) = _section(name)
    page.write_text(f"{head}\n{text}{tail}")


def _section(name: str) -> tuple[Path, tuple[str, str, str]]:
    """Return the page of a section and its text before, in and after the section."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    for page in sorted((ROOT / "docs").glob("results-*.md")):
        head, _, rest = page.read_text().partition(begin)
        text, end_marker, tail = rest.partition(end)
        if end_marker:
            return page, (head + begin, text, end_marker + tail)
    message = f"docs/results-*.md: no page has a section {begin} … {end}"
    raise ValueError(message)
