"""Run every benchmark in its own process and rewrite the tables of docs/results.md."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import ROOT, replace_section, table

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith(("_", "prove_"))
)

for name in NAMES:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    document = json.loads(done.stdout)
    text = document["table"] if "table" in document else table(document["rows"])
    replace_section(name, text)
    print(f"## {name}\n\n{text}")
