"""Run every benchmark in its own process and rewrite the tables of docs/results-*.md.

A benchmark that cannot run here reports the reason, and its table is not changed.
"""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import ROOT, replace_section, table

# These take longer or have no section of docs/results-*.md, and run only if named.
OTHERS = ("prove_", "gpu", "pages")
NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith(("_", *OTHERS))
)

for name in NAMES:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    document = json.loads(done.stdout)
    if "skipped" in document:
        print(f"## {name}\n\nskipped, its table stays: {document['skipped']}\n")
        continue
    text = document["table"] if "table" in document else table(document["rows"])
    replace_section(name, text)
    print(f"## {name}\n\n{text}")
