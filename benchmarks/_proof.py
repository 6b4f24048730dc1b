"""Runner of `prove_*`: options, kept results, data from logs, tables and their sections.

Each proof measures rows, most of them with several seeds, in homes under `prove/` of KINEMILL_HOME.
Finished results are kept, so an interrupted proof resumes.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import DATA, markdown_table, replace_section, require
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest import stage as ingest
from kinemill.store import ArtifactRef, publish_json, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import stage as validate

__all__ = ["DATA", "require", "table"]
table = markdown_table


def parser(description: str | None, rows: Iterable[str], seeds: int = 0) -> argparse.ArgumentParser:
    """Return a parser with `--row`, repeatable, and with `--seeds` if there are some."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--row", choices=list(rows), action="append", help="default: all")
    if seeds:
        made.add_argument("--seeds", type=int, default=seeds)
    return made


def results_folder(name: str) -> Path:
    """Return the folder of the homes and finished results of a proof."""
    return Home.resolve().root / "prove" / name


def cached(path: Path, measure: Callable[[], Any]) -> Any:
    """Return the result of an earlier call, or measure it and keep it as JSON."""
    if not path.is_file():
        publish_json(path, measure())
    return read_json(path)


def kinemill(home: Path, *arguments: str, **settings: Any) -> dict[str, Any]:
    """Run a command in a home, and return its document, also for a refusal or a missed target.

    `settings` are variables of the environment.
    """
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("kinemill")), *arguments, "--json"],
        env={**os.environ, "KINEMILL_HOME": str(home), **settings},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode > 1:
        sys.exit(f"kinemill {' '.join(arguments)} ended with code {done.returncode}")
    return json.loads(done.stdout)


def overridden(settings: dict[str, Any]) -> list[str]:
    """Return the options `--set` of settings."""
    return [word for key, value in settings.items() for word in _option(key, value)]


def _option(key: str, value: Any) -> tuple[str, str]:
    return "--set", f"{key}={json.dumps(value)}"


def dataset_of(task: Task, home: Home, logs: Path) -> ArtifactRef:
    """Ingest and validate logs, and return their dataset."""
    recordings = ingest.run(task, home, logs).artifact.ref
    return dataset_stage.run(task, home, validate.run(task, home, recordings).ref).ref


def write(section: str, text: str) -> None:
    """Rewrite a section of docs/results-*.md, and print it."""
    replace_section(section, text)
    print(text)


def prove_seeds(
    names: Iterable[str], seeds: Iterable[int], one_seed: Callable[[str, int], object]
) -> None:
    """Measure each seed of each row, and print what came of it."""
    for name in names:
        for seed in seeds:
            print(f"{name}, seed {seed}: {json.dumps(one_seed(name, seed))}", flush=True)
