"""`python -m kinemill.runtime verify FOLDER`: is this copy, on this machine, the model it says?

Exit codes are those of `kinemill`: 0 it is, 1 it is not, 2 it is no model.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kinemill.errors import KinemillError
from kinemill.runtime.measuring import CALLS
from kinemill.runtime.verifying import verify


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kinemill.runtime", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("verify", help="check hashes, stored parity cases and latency")
    command.add_argument("folder", type=Path)
    command.add_argument("--calls", type=int, default=CALLS, help="in each of five blocks")
    command.add_argument(
        "--p99-ms", type=float, default=None, help="bound on the latency of a rollout or act"
    )
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    given = parser.parse_args(arguments)
    if given.calls < 1:
        parser.error("--calls is at least 1")
    try:
        found = verify(given.folder, calls=given.calls, bound_ms=given.p99_ms)
    except KinemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if given.json else _told(found))
    return 0 if found["passed"] else 1


def _told(found: dict[str, Any]) -> str:
    lines = [f"{found['folder']}: {'verified' if found['passed'] else 'NOT VERIFIED'}"]
    for line in found["lines"]:
        mark = "ok    " if line["passed"] else "FAILED"
        lines.append(f"  {mark} {line['name']}: {line['found']} (wanted: {line['wanted']})")
    for name, times in found.get("latency_ms", {}).items():
        shown = ", ".join(f"{key} {value:.3f}" for key, value in times.items())
        lines.append(f"  {name} in ms: {shown}")
    if "onnxruntime" in found:
        lines.append(f"  ONNX Runtime {found['onnxruntime']} on {found['machine']}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
