"""The catalog alone, among a thousand and a million recordings: `python -m benchmarks.catalog`.

Two catalogs are filled with synthetic rows, in changes of 20,000, `var/prove/catalog-<number>/`;
what is there already is kept. Then each query is made `ROUNDS` times, in one catalog right after
the other. Rewrites the section `catalog` of docs/results.md.
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

FEW, MANY, BATCH = 1_000, 1_000_000, 20_000
TASK, RULES = "arm", SetRules("rules")

Works = dict[str, Callable[[], object]]


def entry(number: int) -> CatalogEntry:
    """Return the entry of a recording that nobody made."""
    hash_ = hashlib.sha256(str(number).encode()).hexdigest()
    ref = ArtifactRef(f"store/recording/{TASK}/{hash_[:32]}", hash_[::-1])
    name = f"{number // 1000:03d}/log-{number:06d}.csv"
    return CatalogEntry(hash_, name, ref, tracks=1, rows=60, dropped_rows=0, reasons=0)


def fill(home: Home, recordings: int) -> float:
    """Enter what is missing; return the recordings entered per second, 0 if none was missing."""
    head = catalog.read_head(home, TASK)
    first, began = head.totals.recordings if head else 0, time.perf_counter()
    for start in range(first, recordings, BATCH):
        entries = map(entry, range(start, min(start + BATCH, recordings)))
        catalog.amend(home, TASK, {one.hash: one for one in entries}, RULES)
    return max(0, recordings - first) / (time.perf_counter() - began)


def works(home: Home) -> Works:
    """Return what is measured."""
    number = time.time_ns()
    new, known = entry(number), [entry(one) for one in range(1000)]
    head = catalog.read_head(home, TASK)
    assert head
    last = RecordingSet(home, TASK, head.change)
    return {
        "enter one recording": lambda: catalog.amend(home, TASK, {new.hash: new}, RULES),
        "find a recording by its hash": lambda: last.find(known[17].hash),
        "find a recording by its name": lambda: last.named(known[17].name),
        "which of 1,000 logs are recordings": lambda: last.present(one.hash for one in known),
        "what the last change changed": lambda: last.changed_since(head.change - 1),
        "totals and digest of all": lambda: catalog.read_head(home, TASK),
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
    few, many = homes
    lines = [f"| work | among {few:,} | among {many:,} | ratio |", "|---|---|---|---|"]
    for what, measured in spent.items():
        one, other = measured[few][1:], measured[many][1:]  # the first round warms up
        ratio = statistics.median(b / a for a, b in zip(one, other, strict=True))
        cells = " | ".join(f"{1e3 * statistics.median(each):.1f} ms" for each in (one, other))
        lines.append(f"| {what} | {cells} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fill and measure both catalogs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=MANY)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "prove")
    chosen = parser.parse_args()
    sizes = (FEW, chosen.recordings)
    homes = {number: Home(chosen.folder / f"catalog-{number}") for number in sizes}
    rates = [fill(home, number) for number, home in homes.items()]
    text = table(homes)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    size = homes[chosen.recordings].catalog_db.stat().st_size / 1e6
    text += f"\nThe larger file has {size:.0f} MB; this process had at most {memory:.0f} MB"
    text += f", and entered {rates[-1]:,.0f} recordings per second.\n" if rates[-1] else ".\n"
    if chosen.recordings >= MANY:
        replace_section("catalog", text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
