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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import DATA, markdown_table, replace_section, require
from kinemill.store import publish_json, read_json
from kinemill.store.home import Home

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


def run(
    home: Path, *arguments: str, project: Path | None = None, **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a home; `settings` are variables of the environment.

    With a project the command runs in its folder, and what it prints to stderr is in the result.
    """
    home.mkdir(parents=True, exist_ok=True)
    own = {} if project is None else _project_environment(project)
    return subprocess.run(
        [str(Path(sys.executable).with_name("kinemill")), *arguments],
        cwd=project,
        env={**os.environ, "KINEMILL_HOME": str(home), **own, **settings},
        check=False,
        stdout=subprocess.PIPE,
        stderr=None if project is None else subprocess.PIPE,
        text=True,
    )


def _project_environment(project: Path) -> dict[str, str]:
    """Return the variables of a project; the benchmarks have those of the examples."""
    return {"KINEMILL_PROJECT": str(project), "KINEMILL_TASKS": str(project / "tasks")}


def kinemill(home: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    """Run a command in a home, and return its document, also for a refusal or a missed target."""
    done = run(home, *arguments, "--json", **settings)
    if done.returncode > 1:
        sys.exit(f"kinemill {' '.join(arguments)} ended with code {done.returncode}")
    return json.loads(done.stdout)


def overridden(settings: dict[str, Any]) -> list[str]:
    """Return the options `--set` of settings."""
    return [word for key, value in settings.items() for word in _option(key, value)]


def _option(key: str, value: Any) -> tuple[str, str]:
    return "--set", f"{key}={json.dumps(value)}"


def write(section: str, text: str) -> None:
    """Rewrite a section of docs/results-*.md, and print it."""
    replace_section(section, text)
    print(text)


@dataclass(frozen=True)
class SeededRows:
    """Rows that are measured with several seeds, each in a folder `NAME-SEED`.

    Attributes:
        section: section of docs/results-*.md, and name of the folder of results.
        names: names of the rows.
        seeds: default seeds.
        measure: returns the result of a row and a seed in a folder, as JSON.
    """

    section: str
    names: Iterable[str]
    seeds: range
    measure: Callable[[str, int, Path], Any]

    def folder(self, name: str, seed: int) -> Path:
        """Return the folder of one seed; its result is next to it."""
        return results_folder(self.section) / f"{_file_name(name)}-{seed}"

    def finished(self, name: str) -> dict[int, Any]:
        """Return the finished results of a row by seed."""
        files = results_folder(self.section).glob(f"{_file_name(name)}-[0-9]*.json")
        results = {int(path.stem.rpartition("-")[2]): read_json(path) for path in files}
        return dict(sorted(results.items()))

    def prove(self, description: str | None) -> None:
        """Measure the selected rows and seeds that are not finished, and print their results."""
        options = parser(description, self.names, len(self.seeds)).parse_args()
        for name in options.row or self.names:
            for seed in range(self.seeds.start, self.seeds.start + options.seeds):
                folder = self.folder(name, seed)
                result = cached(
                    folder.with_suffix(".json"), partial(self.measure, name, seed, folder)
                )
                print(f"{name}, seed {seed}: {json.dumps(result)}", flush=True)


def _file_name(row: str) -> str:
    return row.replace(", ", "-")
