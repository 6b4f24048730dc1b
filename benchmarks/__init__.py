"""Benchmarks, one module each: `python -m benchmarks.NAME [--write]`, or `make bench` for all.

Every ratio is the median of the ratios of rounds in one process, so that it holds on a machine
whose speed drifts; absolute numbers depend on the machine.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._measured_code import ROOT, digest

EXAMPLES = ROOT / "examples" / "tasks"
DATA = ROOT.parent / "shared" / "data"  # real logs, next to the checkout
ROUNDS = 7
os.environ.setdefault("KINEMILL_TASKS", str(EXAMPLES))  # so that examples are match by name

Row = dict[str, Any]


def require(*folders: Path) -> None:
    """End the process if data is missing."""
    for folder in folders:
        if not folder.is_dir():
            sys.exit(f"{folder} is missing: the benchmark reads data next to the checkout")


def cpu_clock() -> float:
    """Return the CPU seconds of this process, those of ended child processes included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    return _seconds(call, cpu_clock)


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    call()
    return clock() - began


def paired(
    work: str,
    unit: str,
    amount: float,
    cases: dict[str, Callable[[], object]],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = cpu_clock,
) -> Row:
    """Return a row of `amount` by second: the first case is ours, and all are called in turn.

    Ratios are medians of the ratios in each round, with their minimum and maximum. CPU seconds vary
    less than wall time on a machine with other load.
    """
    if rounds > 1:
        for call in cases.values():
            call()  # a warm-up
    seconds = [[_seconds(call, clock) for call in cases.values()] for _ in range(rounds)]
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


def repeat(call: Callable[[], object], times: int) -> Callable[[], object]:
    """Return a call that repeats another."""
    return lambda: [call() for _ in range(times)]


def row(work: str, unit: str, ours: float, references: dict[str, float]) -> Row:
    """Return a row of figures; ratios are ours over theirs."""
    return {
        "work": work,
        "unit": unit,
        "ours": ours,
        "references": references,
        "ratios": {name: ours / value for name, value in references.items()},
    }


def peak_memory(module: str, *arguments: object) -> float:
    """Return the MB that `python -m benchmarks.MODULE --peak ARGUMENTS` prints at its end."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "--peak", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def largest_resident(process: int | str = "self") -> float:
    """Return the largest resident size of a process so far, MB; 0 when it has ended.

    `getrusage` and `wait4` would begin with the size of the process that started it.
    """
    status = Path(f"/proc/{process}/status").read_text()
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return float(lines[0].split()[1]) / 1024 if lines else 0.0


def main(name: str, measure: Callable[[], list[Row] | str]) -> None:
    """Run a benchmark and print its table; `--write` puts it into docs/results-*.md."""
    measured = measure()
    text = measured if isinstance(measured, str) else table(measured)
    if "--write" in sys.argv:
        replace_section(name, text)
    print(f"## {name}\n\n{text}")


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table; a ratio has its spread over the rounds if it is known."""
    lines = list[list[str]]()
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
        lines.append([f"{each['work']}{load}", ours, "; ".join(references)])
    return markdown_table(["work", "kinemill", "reference: figure, ratio"], lines)


def markdown_table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown; rows that are too short are filled with empty cells."""
    lines = [_line(head), "|---" * len(head) + "|"]
    for each in rows:
        cells = [str(cell) for cell in each]
        lines.append(_line([*cells, *[""] * (len(head) - len(cells))]))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def read_section(name: str) -> str:
    """Return the text between the markers of section `name` in docs/results-*.md."""
    _, match = _section(name)
    return match[1]


def replace_section(name: str, text: str) -> None:
    """Put `text` between the markers of section `name` in docs/results-*.md.

    The first marker gets the digest of the code that the table measures.
    """
    page, match = _section(name)
    content = f"<!-- {name} {digest(name)} -->\n{text}"
    head = match.string[: match.start()]
    page.write_text(f"{head}{content}{match.string[match.end(1) :]}")


def _section(name: str) -> tuple[Path, re.Match[str]]:
    """Return the page of a section and the match of its markers with the text between them."""
    pattern = re.compile(rf"<!-- {name}(?: \w+)? -->(.*?)<!-- /{name} -->", re.DOTALL)
    for page in sorted((ROOT / "docs").glob("results-*.md")):
        if match := pattern.search(page.read_text()):
            return page, match
    message = f"docs/results-*.md: no page has a section <!-- {name} --> … <!-- /{name} -->"
    raise ValueError(message)
