"""Versions of a task, with their aliases and files, read from the registry."""

import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.mlflow_tables import read_tables
from kinemill.register.verdict import Verdict
from kinemill.reports import PAGES
from kinemill.runtime.download import check_bundle
from kinemill.runtime.integrity import read_sums
from kinemill.store import ArtifactRef, Home, Json, from_json_value, get_or_build, open_ref
from kinemill.tracking import Tracking, open_tracking
from kinemill.verify.results import Metrics

CHAMPION, CHALLENGER = "champion", "challenger"
NEWEST = "@newest"  # of kinemill, not an MLflow alias; MLflow reserves `latest`
SHORT = 12  # displayed characters of a digest

_ADDRESS = re.compile(r"models:/(?P<task>[a-z][a-z0-9_]*)(?P<which>@[\w-]+|/[0-9]+)\Z")


@dataclass(frozen=True)
class Version:
    """One registered model version, with its aliases."""

    task: str
    number: int
    aliases: tuple[str, ...]
    created: str  # ISO 8601, UTC
    run_id: str | None
    source: str
    description: str
    tags: dict[str, str]

    @property
    def decision(self) -> str | None:
        """The decision of the gate, `champion`, `waiting` or `refused`; None while undecided."""
        return self.tags.get(tags.DECISION)

    @property
    def provisional(self) -> str:
        """Why it is a provisional champion, and what to do; empty if it is not."""
        text = self.tags.get(tags.PROVISIONAL, tags.NO)
        return text if text != tags.NO and self.decision == CHAMPION else ""

    @property
    def status(self) -> str:
        """The status of the version: its aliases, or the gate's decision if it has none."""
        if self.aliases:
            spelled = {CHAMPION: f"provisional {CHAMPION}"} if self.provisional else {}
            return ", ".join(spelled.get(alias, alias) for alias in self.aliases)
        former = {CHAMPION: f"former {CHAMPION}", None: "undecided"}
        return former.get(self.decision, self.decision or "")

    @property
    def gate(self) -> list[Verdict]:
        """The gate's verdicts, line by line."""
        return [Verdict(**line) for line in json.loads(self.tags.get(tags.GATE, "[]"))]

    @property
    def metrics(self) -> Metrics:
        """Errors of the model and the baselines on the test split, in units of their channels."""
        recorded = json.loads(self.tags.get(tags.METRICS, "{}"))
        return from_json_value(recorded, Metrics, Path(self.name))

    @property
    def logged_model(self) -> str:
        """The id of the logged model in MLflow with the version's files."""
        return self.source.removeprefix("models:/")

    @property
    def page(self) -> str:
        """Path of its page on the servers of `kinemill ui`."""
        return f"{PAGES}/{self.task}/{self.number}"

    @property
    def name(self) -> str:
        """Address of the version."""
        return f"models:/{self.task}/{self.number}"


def aliases_of(home: Home, task: str) -> dict[str, int]:
    """Return version by alias; empty if the task has no version."""
    return read_tables(home, task).aliases


def versions_of(home: Home, task: str) -> list[Version]:
    """Return the versions of a task, newest first."""
    state = read_tables(home, task)
    return [
        Version(
            task=task,
            number=number,
            aliases=tuple(sorted(alias for alias, at in state.aliases.items() if at == number)),
            created=datetime.fromtimestamp(row.created, tz=UTC).isoformat(timespec="seconds"),
            run_id=row.run_id or None,
            source=row.source,
            description=row.description,
            tags=row.tags,
        )
        for number, row in sorted(state.versions.items(), reverse=True)
    ]


def champion_of(home: Home, task: str) -> Version | None:
    """Return the champion of a task, or None."""
    every = versions_of(home, task) if home.has_registry else []
    return next((one for one in every if CHAMPION in one.aliases), None)


def find_version(home: Home, task: str, which: str = "") -> Version:
    """Return the version named `@alias`, `@newest`, `:3`, `/3` or "".

    "" is the champion, else the newest version.

    Raises:
        BadInput: The task has no version, or none with that name.
    """
    versions = versions_of(home, task)
    if not versions:
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")
    if match := next((item for item in versions if _is_named(item, which)), None):
        return match
    if which == NEWEST or not which:
        return versions[0]
    there = ", ".join("@".join([str(item.number), *item.aliases]) for item in versions[:5])
    fix = f"kinemill model list {task} lists them"
    if which == f"@{CHAMPION}":
        fix += "; none passed the gate yet, or the champion was deleted"
    raise BadInput(task + which, "is not a version", expected=f"one of {there}", fix=fix)


def _is_named(version: Version, which: str) -> bool:
    """Return whether `which` names the version; without a name it is the champion."""
    if which.startswith("@"):
        return which[1:] in version.aliases
    number = which[1:]
    return version.number == int(number) if number.isdecimal() else CHAMPION in version.aliases


def parse_address(address: str, where: object) -> tuple[str, str]:
    """Parse an address into the task and the version name for `find_version`.

    Raises:
        BadInput: It is not an address; the error contains `where`, the source of the address.
    """
    parsed = _ADDRESS.match(address)
    if parsed is None:
        raise BadInput(where, "is not an address", expected="models:/TASK@champion, models:/TASK/3")
    return parsed["task"], parsed["which"]


def bundle_folder(home: Home, version: Version) -> Path:
    """Return the verified folder of a version's bundle: from the store, else MLflow's copy.

    Raises:
        CorruptArtifact: Both are damaged, or the recorded path is outside of the home.
    """
    stamped = version.tags
    if not {tags.BUNDLE, tags.BUNDLE_DIGEST, tags.SUMS} <= set(stamped):
        raise CorruptArtifact(
            version.name,
            "was not registered by kinemill: it has no bundle",
            fix=f"register one with kinemill run {version.task}",
        )
    home.inside(stamped[tags.BUNDLE], version.name)
    try:
        return open_ref(home, ArtifactRef(stamped[tags.BUNDLE], stamped[tags.BUNDLE_DIGEST]))
    except CorruptArtifact as damage:
        return _download(open_tracking(home), version, damage)


def _download(tracking: Tracking, version: Version, damage: CorruptArtifact) -> Path:
    from mlflow.exceptions import MlflowException

    def build(folder: Path) -> Json:
        copy_bundle(tracking, version, folder)
        return {"files": sorted(read_sums(folder))}

    inputs = {"sums": version.tags[tags.SUMS]}
    try:
        fetched = get_or_build(tracking.home, "fetched", version.task, inputs, build)
    except (MlflowException, CorruptArtifact, OSError) as error:
        last = str(error).strip().splitlines()[-1]
        raise CorruptArtifact(
            version.name,
            f"has no intact files: {damage.where} {damage.problem}; MLflow's copy: {last}",
            fix=f"kinemill run {version.task} with the same logs and settings restores them",
        ) from error
    return open_ref(tracking.home, fetched.ref)


def copy_bundle(tracking: Tracking, version: Version, folder: Path) -> None:
    """Copy MLflow's bundle of a version into an empty folder, hash-checked.

    Raises:
        CorruptArtifact: A file is missing or has changed.
        MlflowException, OSError: The copy does not exist or cannot be reached.
    """
    from mlflow.artifacts import download_artifacts

    logged = tracking.client.get_logged_model(version.logged_model)
    source = f"{logged.artifact_location}/bundle"
    copy = Path(download_artifacts(source, dst_path=str(folder), tracking_uri=tracking.uri))
    check_bundle(copy, version.tags[tags.SUMS])
    for path in sorted(copy.iterdir()):
        path.rename(folder / path.name)
    shutil.rmtree(copy)
