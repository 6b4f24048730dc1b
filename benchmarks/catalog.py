"""Time catalog queries among 1,000 and 1,000,000 recordings: `python -m benchmarks.catalog`.

Fills two catalogs with synthetic rows, 20,000 per commit, in `var/prove/catalog-<number>/`;
existing rows are reused. Then runs each query `ROUNDS` times, alternating between the catalogs.
Rewrites the section `catalog` of docs/results-*.md.
"""

import argparse
import hashlib
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import ROOT, ROUNDS, replace_section
from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet, SetRules
from kinemill.store import ArtifactRef
from kinemill.store.home import Home

SMALL, LARGE, BATCH = 1_000, 1_000_000, 20_000
TASK, RULES = "arm", SetRules("rules")

Works = dict[str, Callable[[], object]]


def entry(number: int) -> CatalogEntry:
    """Return the entry of a synthetic recording."""
    hash_ = hashlib.sha256(str(number).encode()).hexdigest()
    ref = ArtifactRef(f"store/recording/{TASK}/{hash_[:32]}", hash_[::-1])
    name = f"{number // 1000:03d}/log-{number:06d}.csv"
    return CatalogEntry(hash_, name, ref, tracks=1, rows=60, dropped_rows=0, reasons=0)


def fill(home: Home, recordings: int) -> float:
    """Add missing rows; return the recordings added per second, 0 if none was missing."""
    head = catalog.read_head(home, TASK)
    first, began = head.totals.recordings if head else 0, time.perf_counter()
    for start in range(first, recordings, BATCH):
        entries = map(entry, range(start, min(start + BATCH, recordings)))
        catalog.amend(home, TASK, {one.hash: one for one in entries}, RULES)
    return max(0, recordings - first) / (time.perf_counter() - began)


def works(home: Home) -> Works:
    """Return the measured queries by name."""
    number = time.time_ns()
    new, existing = entry(number), [entry(index) for index in range(1000)]
    head = catalog.read_head(home, TASK)
    assert head
    last = RecordingSet(home, TASK, head.change)
    return {
        "add one recording": lambda: catalog.amend(home, TASK, {new.hash: new}, RULES),
        "look up a recording by hash": lambda: last.find(existing[17].hash),
        "look up a recording by name": lambda: last.named(existing[17].name),
        "filter 1,000 logs for known recordings": lambda: last.present(
            one.hash for one in existing
        ),
        "changes of the last commit": lambda: last.changed_since(head.change - 1),
        "totals and digest": lambda: catalog.read_head(home, TASK),
    }


def table(homes: dict[int, Home]) -> str:
    """Return a Markdown table: medians in ms, and medians of the ratios of each round."""
    spent: dict[str, dict[int, list[float]]] = {}
    for _ in range(ROUNDS + 1):
        each = {recordings: works(home) for recordings, home in homes.items()}
        for what in next(iter(each.values())):
            for recordings, work in each.items():
                began = time.perf_counter()
                work[what]()
                seconds = time.perf_counter() - began
                spent.setdefault(what, {}).setdefault(recordings, []).append(seconds)
    small, large = homes
    lines = [f"| work | among {small:,} | among {large:,} | ratio |", "|---|---|---|---|"]
    for what, measured in spent.items():
        one, other = measured[small][1:], measured[large][1:]  # the first round warms up
        ratio = statistics.median(b / a for a, b in zip(one, other, strict=True))
        cells = " | ".join(f"{1e3 * statistics.median(each):.1f} ms" for each in (one, other))
        lines.append(f"| {what} | {cells} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fill and measure both catalogs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=LARGE)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "prove")
    options = parser.parse_args()
    sizes = (SMALL, options.recordings)
    homes = {number: Home(options.folder / f"catalog-{number}") for number in sizes}
    rates = [fill(home, number) for number, home in homes.items()]
    text = table(homes)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    size = homes[options.recordings].catalog_db.stat().st_size / 1e6
    text += f"\nThe larger file is {size:.0f} MB; peak memory of the process is {memory:.0f} MB."
    text += f" It was filled at {rates[-1]:,.0f} recordings per second.\n" if rates[-1] else "\n"
    if options.recordings >= LARGE:
        replace_section("catalog", text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
