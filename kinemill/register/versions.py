"""Looking into the registry: versions of a task, their aliases, and the files behind them."""

import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.mlflow_tables import read_tables
from kinemill.runtime.download import check_bundle
from kinemill.runtime.integrity import read_sums
from kinemill.store import ArtifactRef, Json, get_or_build, open_ref
from kinemill.store.home import Home
from kinemill.tracking import Tracking, open_tracking

CHAMPION, CHALLENGER = "champion", "challenger"
NEWEST = "@newest"  # no alias of MLflow's, which knows `latest` as reserved
SHORT = 12  # characters of a digest that people get to see

_ADDRESS = re.compile(r"models:/(?P<task>[a-z][a-z0-9_]*)(?P<which>@[\w-]+|/[0-9]+)\Z")


@dataclass(frozen=True)
class Version:
    """One registered model version, with the aliases that MLflow's search leaves out."""

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
        """What the gate decided, `champion` or `refused`; None while it has not."""
        return self.tags.get(tags.DECISION)

    @property
    def provisional(self) -> str:
        """Why the gate made it champion for the time being, and what to do; empty if it did not."""
        told = self.tags.get(tags.PROVISIONAL, tags.NO)
        return told if told != tags.NO and self.decision == CHAMPION else ""

    @property
    def standing(self) -> str:
        """What the version is now: its aliases, or without any what the gate decided on it."""
        if self.aliases:
            spelled = {CHAMPION: f"provisional {CHAMPION}"} if self.provisional else {}
            return ", ".join(spelled.get(alias, alias) for alias in self.aliases)
        former = {CHAMPION: f"former {CHAMPION}", None: "undecided"}
        return former.get(self.decision, self.decision or "")

    @property
    def is_provisional(self) -> bool:
        """Whether too little test data stood behind the decision that made it champion."""
        return bool(self.provisional)

    @property
    def gate(self) -> list[Json]:
        """The gate's verdicts, line by line."""
        return json.loads(self.tags.get(tags.GATE, "[]"))

    @property
    def metrics(self) -> Json:
        """The errors of the model and the baselines on the test split."""
        return json.loads(self.tags.get(tags.METRICS, "{}"))

    @property
    def logged_model(self) -> str:
        """The id of the model in MLflow that holds the version's files."""
        return self.source.removeprefix("models:/")

    @property
    def name(self) -> str:
        """The version as an address."""
        return f"models:/{self.task}/{self.number}"


def aliases_of(home: Home, task: str) -> dict[str, int]:
    """Return version by alias; empty when nothing was registered."""
    return read_tables(home, task).aliases


def versions_of(home: Home, task: str) -> list[Version]:
    """Return the versions of a task, newest first."""
    shown = read_tables(home, task)
    return [
        Version(
            task=task,
            number=number,
            aliases=tuple(sorted(alias for alias, at in shown.aliases.items() if at == number)),
            created=datetime.fromtimestamp(row.created, tz=UTC).isoformat(timespec="seconds"),
            run_id=row.run_id or None,
            source=row.source,
            description=row.description,
            tags=row.tags,
        )
        for number, row in sorted(shown.versions.items(), reverse=True)
    ]


def find_version(home: Home, task: str, which: str = "") -> Version:
    """Return the version that `@alias`, `@newest`, `:3`, `/3` or "" names.

    Without a name it is the champion, else the newest.

    Raises:
        BadInput: there is none, or none of that name.
    """
    known = versions_of(home, task)
    if not known:
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")
    if found := next((item for item in known if _is_named(item, which)), None):
        return found
    if which == NEWEST or not which:
        return known[0]
    there = ", ".join("@".join([str(item.number), *item.aliases]) for item in known[:5])
    fix = f"kinemill models {task} lists them"
    if which == f"@{CHAMPION}":
        fix += "; none passed the gate yet, or the champion was deleted"
    raise BadInput(task + which, "is no version", expected=f"one of {there}", fix=fix)


def _is_named(version: Version, which: str) -> bool:
    """Return whether `which` names the version; without a name it is the champion."""
    if which.startswith("@"):
        return which[1:] in version.aliases
    number = which[1:]
    return version.number == int(number) if number.isdecimal() else CHAMPION in version.aliases


def parse_address(address: str, where: object) -> tuple[str, str]:
    """Return the task and the version, as `find_version` takes it, that an address names.

    Raises:
        BadInput: it is no address; `where` it was given is said.
    """
    parsed = _ADDRESS.match(address)
    if parsed is None:
        raise BadInput(where, "is no address", expected="models:/TASK@champion, models:/TASK/3")
    return parsed["task"], parsed["which"]


def bundle_folder(home: Home, version: Version) -> Path:
    """Return the checked folder of a version's bundle: the store's, else MLflow's copy of it.

    Raises:
        CorruptArtifact: neither is whole, or it is said to lie outside of the home.
    """
    stamped = version.tags
    if not {tags.BUNDLE, tags.BUNDLE_DIGEST, tags.SUMS} <= set(stamped):
        raise CorruptArtifact(
            version.name,
            "was not registered by kinemill: it names no bundle",
            fix=f"kinemill run {version.task} registers one that is",
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
            f"has no whole files: {damage.where} {damage.found}; MLflow's copy: {last}",
            fix=f"kinemill run {version.task} with the same logs and settings makes them again",
        ) from error
    return open_ref(tracking.home, fetched.ref)


def copy_bundle(tracking: Tracking, version: Version, folder: Path) -> None:
    """Copy the bundle that MLflow keeps of a version into an empty folder, hash-checked.

    Raises:
        CorruptArtifact: a file is missing or has changed.
        MlflowException, OSError: there is no such copy, or it cannot be reached.
    """
    from mlflow.artifacts import download_artifacts

    logged = tracking.client.get_logged_model(version.logged_model)
    source = f"{logged.artifact_location}/bundle"
    copy = Path(download_artifacts(source, dst_path=str(folder), tracking_uri=tracking.uri))
    check_bundle(copy, version.tags[tags.SUMS])
    for path in sorted(copy.iterdir()):
        path.rename(folder / path.name)
    shutil.rmtree(copy)
