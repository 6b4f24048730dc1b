"""Versions of a task, with their aliases and files, read from MLflow's registry."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.audit_log import read_events, recorded_files
from kinemill.register.decision import DECISION_FILE, Decision
from kinemill.register.verdict import Verdict
from kinemill.runtime.download import check_bundle
from kinemill.runtime.integrity import read_sums
from kinemill.store import ArtifactRef, Home, Json, get_or_build, open_ref, read_document
from kinemill.store.locks import spell_time
from kinemill.tracking import Tracking, open_tracking
from kinemill.tracking.database import open_registry
from kinemill.verify.results import Metrics

CHAMPION = "champion"
CHALLENGER = "challenger"
NEWEST = "@newest"  # of kinemill, not an MLflow alias; MLflow reserves `latest`
_NONE_YET = "has no version yet"
SHORT = 12  # displayed characters of a digest

_ADDRESS = re.compile(r"models:/(?P<task>[a-z][a-z0-9_]*)(?P<which>@[\w-]+|/[0-9]+)\Z")


@dataclass(frozen=True)
class Version:
    """One registered model version, with its aliases."""

    home: Home
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
        # MLflow's alias `challenger` names the newest version, also after a refusal.
        is_open = self.decision != "refused"
        if aliases := [alias for alias in self.aliases if is_open or alias != CHALLENGER]:
            spelled = {CHAMPION: f"provisional {CHAMPION}"} if self.provisional else {}
            return ", ".join(spelled.get(alias, alias) for alias in aliases)
        former = {CHAMPION: f"former {CHAMPION}", None: "undecided"}
        return former.get(self.decision, self.decision or "")

    @cached_property
    def document(self) -> Decision | None:
        """The document of the gate's decision, from the store, else MLflow's copy; None: none."""
        if tags.REPORT not in self.tags:
            return None
        report = self.home.inside(self.tags[tags.REPORT], self.name)
        if (path := report.with_name(DECISION_FILE)).is_file():
            return read_document(path, Decision)
        return _download_decision(open_tracking(self.home), self)

    @property
    def gate(self) -> list[Verdict]:
        """The gate's verdicts, line by line."""
        return self.document.gate if self.document else []

    @property
    def metrics(self) -> Metrics:
        """Errors of the model and the baselines on the test split, in units of their channels."""
        return self.document.metrics if self.document else Metrics()

    @property
    def previous_champion(self) -> int | None:
        """Number of the champion at the decision about this version."""
        return self.document.previous_champion if self.document else None

    def require(self, tag: str) -> str:
        """Return a tag that kinemill set at the registration.

        Raises:
            CorruptArtifact: Another program registered the version, or removed the tag.
        """
        if tag not in self.tags:
            raise CorruptArtifact(
                self.name,
                f"was not registered by kinemill: it has no tag {tag}",
                fix=f"register a version with kinemill run {self.task}",
            )
        return self.tags[tag]

    @property
    def sums(self) -> str:
        """The sha256 of `sha256sums`, the list of its files, as the audit log recorded it.

        Raises:
            CorruptArtifact: The registry names other files than those that the gate evaluated.
        """
        sums = self.require(tags.SUMS)
        recorded = recorded_files(self.home, self.task, self.source)
        if recorded not in ("", sums):
            raise CorruptArtifact(
                self.name,
                f"the tag {tags.SUMS} is {sums[:SHORT]}: its files were changed in MLflow",
                expected=f"{recorded[:SHORT]}, as in the audit log",
                fix=f"restore the tag, or kinemill model rollback {self.task}",
            )
        return sums

    @property
    def logged_model(self) -> str:
        """The id of the logged model in MLflow with the version's files."""
        return self.source.removeprefix("models:/")

    @property
    def name(self) -> str:
        """Address of the version."""
        return f"models:/{self.task}/{self.number}"


@dataclass(frozen=True)
class VersionLine:
    """A version in a list.

    Attributes:
        aliases: such as `champion`.
        status: what it is in words; a refused version is no challenger.
        provisional: why the champion is provisional; "" if it is not.
        created: ISO 8601, UTC.
        dataset: short digest of its dataset.
        metrics: errors, or for policies outcomes, from its verification.
        gate: verdicts of the gate.
    """

    version: int
    aliases: list[str]
    status: str
    provisional: str
    created: str
    dataset: str
    metrics: Metrics
    gate: list[Verdict]

    @classmethod
    def of(cls, item: Version) -> "VersionLine":
        """Return the line of a version."""
        return cls(
            version=item.number,
            aliases=list(item.aliases),
            status=item.status,
            provisional=item.provisional,
            created=item.created,
            dataset=item.tags.get(tags.DATASET, "")[:SHORT],
            metrics=item.metrics,
            gate=item.gate,
        )


def aliases_of(home: Home, task: str) -> dict[str, int]:
    """Return version by alias; empty if the task has no version.

    Raises:
        Unreachable: MLflow does not respond.
    """
    return all_aliases(home, f"name = '{task}'").get(task, {})


def all_aliases(home: Home, query: str | None = None) -> dict[str, dict[str, int]]:
    """Return version by alias of all registered models, or of those that match a query of MLflow.

    Raises:
        Unreachable: MLflow does not respond.
    """
    if (tracking := open_registry(home)) is None:
        return {}
    with tracking.errors():
        return {
            model.name: {alias: int(number) for alias, number in model.aliases.items()}
            for model in _pages(tracking.client.search_registered_models, query)
        }


def _pages(search: Callable[..., Any], query: str | None) -> Iterator[Any]:
    """Yield the results of a search of MLflow from all its pages."""
    token: str | None = None
    while True:
        page = search(query, max_results=1000, page_token=token)
        yield from page
        if not (token := page.token):
            return


def versions_of(home: Home, task: str) -> list[Version]:
    """Return the versions of a task, newest first.

    Raises:
        Unreachable: MLflow does not respond.
    """
    if (tracking := open_registry(home)) is None:
        return []
    aliases = aliases_of(home, task)
    with tracking.errors():
        entities = list(_pages(tracking.client.search_model_versions, f"name = '{task}'"))
    versions = [_version(home, entity, aliases) for entity in entities]
    return sorted(versions, key=lambda version: version.number, reverse=True)


def _version(home: Home, entity: Any, aliases: dict[str, int]) -> Version:
    number = int(entity.version)
    created = entity.creation_timestamp / 1000.0
    return Version(
        home=home,
        task=entity.name,
        number=number,
        aliases=tuple(sorted(alias for alias, at in aliases.items() if at == number)),
        created=spell_time(created),
        run_id=entity.run_id or None,
        source=entity.source or "",
        description=entity.description or "",
        tags=dict(entity.tags),
    )


def champion_of(home: Home, task: str) -> Version | None:
    """Return the champion of a task, or None.

    Raises:
        BadInput: The alias names a version that does not exist.
    """
    number = aliases_of(home, task).get(CHAMPION)
    return find_version(home, task, f":{number}") if number else None


def find_version(home: Home, task: str, which: str = "") -> Version:
    """Return the version named `@alias`, `@newest`, `:3`, `/3` or "".

    "" is the champion, else the newest version.

    Raises:
        BadInput: The task has no version, or none with that name.
    """
    versions = versions_of(home, task)
    if not versions:
        raise no_version(home, task)
    if match := next((item for item in versions if _is_named(item, which)), None):
        return match
    if which == NEWEST or not which:
        return versions[0]
    there = ", ".join("@".join([str(item.number), *item.aliases]) for item in versions[:5])
    fix = f"kinemill model list {task} lists them"
    if which == f"@{CHAMPION}":
        fix += "; none passed the gate yet, or the alias was deleted in MLflow"
    recorded = {f":{event.version}" for event in read_events(home, task)}
    where = task + which
    if number := aliases_of(home, task).get(which[1:]):  # set by another program
        where += f", version {number}"
        which = f":{number}"
    problem = "was deleted in MLflow" if which in recorded else "is not a version"
    raise BadInput(where, problem, expected=f"one of {there}", fix=fix)


def no_version(home: Home, task: str) -> BadInput:
    """Return the error about a task without a version."""
    had_versions = any(event.version for event in read_events(home, task))
    problem = (
        "has no version: MLflow's users deleted or renamed them" if had_versions else _NONE_YET
    )
    return BadInput(task, problem, fix=f"kinemill run {task}")


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
    path = version.require(tags.BUNDLE)
    digest = version.require(tags.BUNDLE_DIGEST)
    sums = version.sums
    home.in_store(path, version.name)
    try:
        folder = open_ref(home, ArtifactRef(path, digest))
        check_bundle(folder, sums)
    except CorruptArtifact as damage:
        return _download(open_tracking(home), version, damage)
    return folder


def _download(tracking: Tracking, version: Version, damage: CorruptArtifact) -> Path:
    from mlflow.exceptions import MlflowException

    def build(folder: Path) -> Json:
        copy_bundle(tracking, version, folder)
        return {"files": sorted(read_sums(folder))}

    inputs = {"sums": version.sums}
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
    copy = copy_logged(tracking, version, "bundle", folder)
    check_bundle(copy, version.sums)
    for path in sorted(copy.iterdir()):
        path.rename(folder / path.name)
    shutil.rmtree(copy)


def copy_logged(tracking: Tracking, version: Version, name: str, folder: Path) -> Path:
    """Copy a file or folder of a version's logged model in MLflow, and return its path.

    Raises:
        MlflowException, OSError: It does not exist or cannot be reached.
    """
    from mlflow.artifacts import download_artifacts

    logged = tracking.client.get_logged_model(version.logged_model)
    source = f"{logged.artifact_location}/{name}"
    return Path(download_artifacts(source, dst_path=str(folder), tracking_uri=tracking.uri))


def _download_decision(tracking: Tracking, version: Version) -> Decision | None:
    """Return MLflow's copy of a decision, cached in the store; None if it has none."""
    from mlflow.exceptions import MlflowException

    def build(folder: Path) -> Json:
        copy_logged(tracking, version, f"decision/{DECISION_FILE}", folder)
        return {}

    inputs = {"decision": PurePosixPath(version.tags[tags.REPORT]).parent.name}
    try:
        fetched = get_or_build(tracking.home, "fetched", version.task, inputs, build)
    except (MlflowException, OSError):
        return None  # another program registered the version, or its files were deleted
    return read_document(open_ref(tracking.home, fetched.ref) / DECISION_FILE, Decision)
