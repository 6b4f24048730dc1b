"""Share of right drafts of small logs in the layouts of real tools: `make prove-drafts`.

Each sample of `tests/unseen/corpus`, each variant of it, and each reported case beside the checkout
is drafted and compared with the draft that is right for it. A wrong draft that neither asks nor is
refused is a silent mistake.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks import ROOT, _proof

sys.path.insert(0, str(ROOT))

from tests.unseen.corpus.cases import CASES, FOLDER
from tests.unseen.corpus.comparison import mistakes
from tests.unseen.corpus.samples import SAMPLES
from tests.unseen.corpus.tools import TOOLS
from tests.unseen.corpus.unusual import UNUSUAL
from tests.unseen.corpus.variants import variants

HEAD = ["class", "logs", "right", "asks or is refused", "wrong in silence"]


def main() -> int:
    """Measure all samples, print the table, and write it to the docs."""
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
    rows = [[kind, sum(count), *count] for kind, count in counts.items()]
    _proof.write("drafts-corpus", _proof.table(HEAD, rows))
    return int(any(count[2] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
