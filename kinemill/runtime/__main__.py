"""Verify or pull a model on a robot, with numpy and onnxruntime only.

`python -m kinemill.runtime verify FOLDER`: check a copy of a model on this machine.
`python -m kinemill.runtime pull URL TASK@champion --to FOLDER --watch`: keep a folder up to date.

Exit codes: 0 passed, 1 failed, 2 not a model.
"""

import argparse
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from kinemill.errors import KinemillError
from kinemill.runtime.download import pull, watch
from kinemill.runtime.registry_client import from_server
from kinemill.runtime.self_test import verify
from kinemill.runtime.timing import CALLS, Json


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kinemill.runtime",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    _verify_options(commands.add_parser("verify", help="check hashes, stored cases and latency"))
    _pull_options(commands.add_parser("pull", help="download a version and check it"))
    options = parser.parse_args(arguments)
    if getattr(options, "calls", 1) < 1:
        parser.error("--calls is at least 1")
    try:
        return int(options.do(options))
    except KinemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:  # of a full or read-only disk
        sys.stderr.write(f"{error}\n")
        return KinemillError.exit_code


def _verify_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path)
    command.add_argument("--calls", type=int, default=CALLS, help="calls in each of five blocks")
    command.add_argument(
        "--p99-ms", type=float, default=None, help="limit of the latency of a rollout or act"
    )
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command.set_defaults(do=_verify)


def _verify(options: argparse.Namespace) -> int:
    result = verify(options.folder, calls=options.calls, bound_ms=options.p99_ms)
    sys.stdout.write(json.dumps(result, indent=2) + "\n" if options.json else _as_text(result))
    return 0 if result["passed"] else 1


def _pull_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("url", help="address of the kinemill server; token: KINEMILL_TOKEN")
    command.add_argument("model", metavar="TASK@ALIAS", help="TASK@champion, TASK@ALIAS, TASK:3")
    command.add_argument("--to", type=Path, required=True, help="target folder")
    command.add_argument("--watch", action="store_true", help="update the folder until stopped")
    command.add_argument("--every", type=float, default=5.0, help="period of --watch, s")
    command.set_defaults(do=_pull)


def _pull(options: argparse.Namespace) -> int:
    token = os.environ.get("KINEMILL_TOKEN")
    source = from_server(options.url, options.model, token)
    if not options.watch:
        _print_json(pull(source, options.to))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # Raised at any point, also in a download: an installation is one rename.
    with suppress(KeyboardInterrupt):
        watch(source, options.to, _print_json, threading.Event(), max(options.every, 0.1))
    return 0


def _print_json(result: Json) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def _as_text(result: Json) -> str:
    lines = [f"{result['folder']}: {'verified' if result['passed'] else 'NOT VERIFIED'}"]
    for line in result["lines"]:
        mark = "ok    " if line["passed"] else "FAILED"
        lines.append(f"  {mark} {line['name']}: {line['found']} (expected: {line['wanted']})")
    for name, times in result.get("latency_ms", {}).items():
        percentiles = ", ".join(f"{key} {value:.3f}" for key, value in times.items())
        lines.append(f"  {name} in ms: {percentiles}")
    if "onnxruntime" in result:
        lines.append(f"  ONNX Runtime {result['onnxruntime']} on {result['machine']}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
