"""Look up the runs, models and experiments of a request in MLflow's database."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

MADE_BY = "kinemill.made_by"  # tag of a run or model created over HTTP: its user
_OPEN_RUN = {"RUNNING", "SCHEDULED"}
_OPEN_MODEL = "PENDING"
_REFERENCE = re.compile(r"(?P<kind>runs|models):/(?P<id>[0-9a-z-]+)(?P<path>/.*)?", re.DOTALL)
# Below a run: no `..`, percent sign, query or fragment, which programs read in different ways.
_BELOW = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w .,@+=~-]+)*/?")


@dataclass(frozen=True)
class Run:
    """A run or a logged model.

    Attributes:
        id: MLflow id.
        owner: user who created it over HTTP; None if kinemill created it.
        experiment: id of the experiment.
        is_finished: whether it is read-only.
    """

    id: str
    owner: str | None
    experiment: str
    is_finished: bool


class Records(Protocol):
    """Queries of the rules about MLflow's contents."""

    def run(self, name: str) -> Run | None:
        """Return a run."""
        ...

    def model(self, name: str) -> Run | None:
        """Return a logged model."""
        ...

    def experiment(self, name: str) -> str | None:
        """Return the name of an experiment."""
        ...

    def owner_of(self, path: str) -> Run | None:
        """Return the run or logged model that owns an artifact path."""
        ...

    def holds(self, source: str, run: object, model: object) -> bool:
        """Return whether an address lies in the artifacts of a run or logged model."""
        ...

    def is_task(self, name: object) -> bool:
        """Return whether a task has this name."""
        ...


class MlflowRecords:
    """The records of MLflow's server, read from its own stores.

    Args:
        root: folder or address of all artifacts, as a URI.
        tasks: returns the names of the tasks.
    """

    def __init__(self, root: str, tasks: Callable[[], Collection[str]]) -> None:
        self._root, self._tasks = root.rstrip("/"), tasks

    def run(self, name: str) -> Run | None:
        """Return a run."""
        record = self._query(lambda: _tracking().get_run(name))
        return record and self._run(record)

    def model(self, name: str) -> Run | None:
        """Return a logged model."""
        record = self._query(lambda: _tracking().get_logged_model(name))
        return record and self._model(record)

    def experiment(self, name: str) -> str | None:
        """Return the name of an experiment."""
        record = self._query(lambda: _tracking().get_experiment(name))
        return record and record.name

    def owner_of(self, path: str) -> Run | None:
        """Return the run or logged model that owns an artifact path."""
        parts = Path(path).parts
        if "artifacts" not in parts[2:-1]:
            return None
        end = parts.index("artifacts", 2)
        name, folder = parts[end - 1], "/".join(parts[: end + 1])
        is_model = parts[end - 2] == "models"
        owner = self.model(name) if is_model else self.run(name)
        location = self._location("models" if is_model else "runs", name)
        if owner is None or location is None or self._relative(location) != folder:
            return None
        registered = any(_overlap(one, path) for one in self._sources(name))
        return Run(owner.id, owner.owner, owner.experiment, owner.is_finished or registered)

    def holds(self, source: str, run: object, model: object) -> bool:
        """Return whether an address lies in the artifacts of a run or logged model.

        The server reads an address with its own credentials. `runs:/RUN/PATH` and `models:/ID` name
        the run or logged model; any other address must begin with the location of the one that
        `model` or `run` names.
        """
        if match := _REFERENCE.fullmatch(source):
            location, rest = self._location(match["kind"], match["id"]), match["path"] or ""
            is_plain = not rest if match["kind"] == "models" else _BELOW.fullmatch(rest)
        else:
            location = self._location("models", model) if model else self._location("runs", run)
            rest = source.removeprefix(location or "")
            is_plain = location and rest != source and _BELOW.fullmatch(rest)
        roots = (f"{self._root}/", "mlflow-artifacts:/")
        return bool(location and location.startswith(roots) and is_plain)

    def is_task(self, name: object) -> bool:
        """Return whether a task has this name."""
        return name in self._tasks()

    def _sources(self, name: str) -> list[str]:
        """Return the store paths of all versions of a run or model."""
        registry, sources = _registry(), list[Any]()
        for key, value in (("run_id", name), ("source_path", f"models:/{name}")):
            sources += registry.search_model_versions(f"{key} = '{value}'")
        paths = [self._resolved(one.source) for one in sources]
        return [one for one in paths if one is not None]

    def _location(self, kind: str, name: object) -> str | None:
        """Return the address of the artifacts of a run or logged model."""
        if not isinstance(name, str):
            return None
        if kind == "models":
            model = self._query(lambda: _tracking().get_logged_model(name))
            return model and model.artifact_location
        run = self._query(lambda: _tracking().get_run(name))
        return run and run.info.artifact_uri

    def _resolved(self, source: str) -> str | None:
        if match := _REFERENCE.fullmatch(source):
            location = self._location(match["kind"], match["id"])
            path = match["path"] or ""
            return location and f"{self._relative(location)}{path}".rstrip("/")
        return self._relative(source)

    def _relative(self, location: str) -> str:
        """Return the store path of an artifact location."""
        if location.startswith(f"{self._root}/"):
            return unquote(location.removeprefix(f"{self._root}/"))
        return unquote(urlsplit(location).path).strip("/")

    def _run(self, record: Any) -> Run:
        info = record.info
        is_open = info.status in _OPEN_RUN and info.lifecycle_stage == "active"
        return Run(info.run_id, record.data.tags.get(MADE_BY), info.experiment_id, not is_open)

    def _model(self, record: Any) -> Run:
        is_open = str(getattr(record.status, "name", record.status)) == _OPEN_MODEL
        owner = record.tags.get(MADE_BY)
        return Run(record.model_id, owner, str(record.experiment_id), not is_open)

    @staticmethod
    def _query(ask: Callable[[], object]) -> Any:
        """Return the result of a query; None if the record does not exist."""
        from mlflow.exceptions import MlflowException

        try:
            return ask()
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise


def _overlap(one: str, other: str) -> bool:
    """Return whether one of two paths contains the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _tracking() -> Any:
    from mlflow.server.handlers import _get_tracking_store  # pyright: ignore[reportPrivateUsage]

    return _get_tracking_store()


def _registry() -> Any:
    from mlflow.server.handlers import _get_model_registry_store  # pyright: ignore[reportPrivateUsage]

    return _get_model_registry_store()
