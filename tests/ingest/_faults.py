"""A mill in a separate process that a test can kill: warm after 0.02 s, forked from a server."""

import ast
import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from kinemill import parallel
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.store import ArtifactRef, fault_injection, open_ref
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.validate import checkpoint
from kinemill.validate import stage as validate
from kinemill.validate.stage import load_episodes

ROOT = Path(__file__).resolve().parents[2]
# What a process leaves behind that was killed; no reader looks there.
HIDDEN = (".staging", ".locks", ".aside-")
CACHES = "index"  # of the store: may be lost, and tell of files by their inodes and times


def fault_points() -> list[str]:
    """Return the fault points that ingest passes, on one machine; each stands in one place."""
    names = [
        _name(path, call)
        for path in sorted((ROOT / "kinemill").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "fault_point"
    ]
    assert len(names) == len(set(names)), "a fault point stands in one place"
    others = {"checkpoint", "register", "remote", "gc", "backup", "restore", "upgrade", "rebuild"}
    others |= {"search", "act"}  # killed in tests/search and tests/ingest/test_edit_recording.py
    return sorted(name for name in names if name.partition(".")[0] not in others)


def _name(path: Path, call: ast.Call) -> str:
    (name,) = call.args
    assert isinstance(name, ast.Constant), f"{path}:{call.lineno}: a fault point's name is text"
    return name.value


@dataclass(frozen=True)
class Site:
    """A task, a folder in which logs arrive in two deliveries, and the home that takes them."""

    task: Path
    home: Path
    logs: Path
    deliveries: list[dict[str, bytes]] = field(default_factory=list[dict[str, bytes]])
    in_processes: bool = False  # as many small logs are read

    def to(self, name: str) -> "Site":
        """Return a site of its own with the same deliveries still to come."""
        folder = self.home.parent / name
        return replace(self, home=folder / "home", logs=folder / "logs")

    def deliver(self) -> bool:
        """Put the first delivery that is not there into the folder of logs; tell if there is."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for delivery in self.deliveries:
            if not all((self.logs / name).exists() for name in delivery):
                for name, content in delivery.items():
                    (self.logs / name).write_bytes(content)
                return True
        return False


def run_pipeline(site: Site) -> dict[str, object]:
    """Take what has been delivered; then, delivery by delivery, what is still to come."""
    home, task = Home(site.home), load_task(site.task)
    result = _run_once(task, home, site.logs) if site.logs.is_dir() else {}
    while site.deliver():
        result = _run_once(task, home, site.logs)
    return result


def _run_once(task, home, logs) -> dict[str, object]:
    recordings = ingest.run(task, home, logs).artifact
    episodes = validate.run(task, home, recordings.ref)
    return {"recordings": recordings.ref.to_json(), "episodes": episodes.ref.to_json()}


def _work(site: Site, fault: str, result_file: Path) -> None:
    # Nothing here outlives the machine; a killed process loses none of what it wrote.
    os.fsync = lambda handle: None
    checkpoint.run_checkpoint = lambda *_: []  # Great Expectations passes no fault point
    os.environ[fault_injection.VARIABLE] = fault
    if site.in_processes:
        parallel.MANY = 1
    result_file.write_text(
        json.dumps({"result": run_pipeline(site), "passings": fault_injection.passings()})
    )


class Pipelines:
    """Starts mills, each in a process forked from one that has imported everything."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.ingest._faults", "tests.ingest._warm"])

    def start(self, site: Site, fault: str = "count", name: str = "told"):
        """Start a mill; `fault` as in `kinemill.store.fault_injection`."""
        result_file = site.home.parent / f"{name}.json"
        result_file.parent.mkdir(parents=True, exist_ok=True)
        process = self._context.Process(target=_work, args=(site, fault, result_file))
        process.start()
        return process, result_file

    def run(self, site: Site, fault: str = "count") -> tuple[int, dict[str, dict[str, object]]]:
        """Run a mill to its end; return its exit code, and what it told if it came so far."""
        process, result_file = self.start(site, fault)
        process.join(120)
        assert process.exitcode is not None, f"hangs at {fault}"
        return process.exitcode, json.loads(
            result_file.read_text()
        ) if process.exitcode == 0 else {}


def visible(site: Site) -> Iterator[Path]:
    """Yield the files of a home's store that a reader may come across."""
    store = site.home / "store"
    for path in sorted(store.rglob("*")):
        parts = path.relative_to(store).parts
        if path.is_file() and not any(part.startswith(HIDDEN) for part in parts):
            yield path


def contents(site: Site) -> dict[str, str]:
    """Return the sha256 of each visible file but caches."""
    return {
        path.relative_to(site.home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in visible(site)
        if path.relative_to(site.home).parts[1] != CACHES
    }


def assert_whole(site: Site) -> None:
    """Check that every visible file is of an outcome, raw bytes or a note, and whole."""
    home, actual = Home(site.home), contents(site)
    published = {
        open_ref(home, ArtifactRef(path.removesuffix("/MANIFEST.json"), digest))
        for path, digest in actual.items()
        if path.endswith("/MANIFEST.json")
    }
    for name, digest in actual.items():
        path = home.root / name
        if name.startswith("store/raw/"):
            assert digest == path.stem
        elif not published & {*path.parents}:
            json.loads(path.read_text())


def assert_each_once(site: Site, result: dict[str, dict[str, str]]) -> None:
    """Check that each content that was delivered is a recording once, and opens with its bytes."""
    home = Home(site.home)
    delivered = {
        hashlib.sha256(content).hexdigest()
        for delivery in site.deliveries
        for content in delivery.values()
    }
    hashes = [
        recording.hash
        for recording in load_recordings(home, ArtifactRef.from_json(result["recordings"]))
    ]
    assert sorted(hashes) == sorted(delivered)
    raw = [path.stem for path in visible(site) if path.parts[-3] == "raw"]
    assert sorted(raw) == sorted(delivered)
    episodes = load_episodes(home, ArtifactRef.from_json(result["episodes"]))
    assert len({episode.id for episode in episodes}) == len(episodes) > 0
    assert {episode.recording for episode in episodes} <= delivered
