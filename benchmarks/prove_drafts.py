"""Share of right drafts of small logs in the layouts of real tools: `make prove-drafts`.

Each sample of `tests/unseen/corpus`, each variant of it, and each reported case beside the checkout
is drafted and compared with the draft that is right for it. A wrong draft that neither asks nor is
refused is a silent mistake. `--table` writes nothing.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks import ROOT, replace_section

sys.path.insert(0, str(ROOT))

from tests.unseen.corpus.cases import CASES, FOLDER
from tests.unseen.corpus.comparison import mistakes
from tests.unseen.corpus.samples import SAMPLES
from tests.unseen.corpus.tools import TOOLS
from tests.unseen.corpus.unusual import UNUSUAL
from tests.unseen.corpus.variants import variants

HEADER = "| class | logs | right | asks or is refused | wrong in silence |\n|---|---|---|---|---|"


def main() -> int:
    """Measure all samples, print the table, and write it to the docs."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--table", action="store_true", help="write nothing")
    arguments = options.parse_args()
    changed = [
        (f"{variant.kind}, variants", variant) for sample in SAMPLES for variant in variants(sample)
    ]
    cases = CASES if FOLDER.is_dir() else []
    samples = [(item.kind, item) for item in (*SAMPLES, *TOOLS, *UNUSUAL, *cases)] + changed
    counts = defaultdict[str, list[int]](lambda: [0, 0, 0])
    for kind, sample in samples:
        with tempfile.TemporaryDirectory() as folder:
            wrong, asks = mistakes(sample, Path(folder) / "logs")
        counts[kind][0 if not wrong else 1 if asks else 2] += 1
        if wrong:
            print(f"{kind}: {sample.name}: {'; '.join(wrong)}", flush=True)
    lines = [
        f"| {kind} | {sum(count)} | {' | '.join(map(str, count))} |"
        for kind, count in counts.items()
    ]
    table = "\n".join([HEADER, *lines, ""])
    print(table)
    if not arguments.table:
        replace_section("drafts-corpus", table)
    return int(any(count[2] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
