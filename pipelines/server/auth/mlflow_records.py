"""Look up the runs, models and experiments of a request in MLflow's tracking store."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_REFERENCE = re.compile(r"(?P<kind>runs|models):/(?P<id>[0-9a-z-]+)(?P<path>/.*)?", re.DOTALL)
# Below a run: no `..`, percent sign, query or fragment, which programs read in different ways.
_BELOW = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w .,@+=~-]+)*/?")


class MlflowRecords:
    """The records of MLflow's server, read from its own store.

    Args:
        root: folder or address of all artifacts, as a URI.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")

    def experiment(self, kind: str, name: str) -> str | None:
        """Return the experiment of `experiments`, `runs` or `models` with this id; None: none."""
        record = _find(kind, name)
        if kind == "experiments" or record is None:
            return record and record.name
        id_ = record.info.experiment_id if kind == "runs" else record.experiment_id
        return self.experiment("experiments", str(id_))

    def experiment_at(self, path: str) -> str | None:
        """Return the experiment of the run or logged model in whose folder an artifact path is."""
        parts = Path(path).parts
        if "artifacts" not in parts[2:-1]:
            return None
        end = parts.index("artifacts", 2)
        kind = "models" if parts[end - 2] == "models" else "runs"
        location = _location(kind, parts[end - 1])
        if self._relative(location) != "/".join(parts[: end + 1]):
            return None
        return self.experiment(kind, parts[end - 1])

    def holds(self, source: str, run: str, model: str) -> bool:
        """Return whether an address lies in the artifacts of a run or logged model.

        The server reads an address with its own credentials. `runs:/RUN/PATH` and `models:/ID` name
        the run or logged model; any other address must begin with the location of the one that
        `model` or `run` names.
        """
        if match := _REFERENCE.fullmatch(source):
            location = _location(match["kind"], match["id"])
            rest = match["path"] or ""
            is_plain = not rest if match["kind"] == "models" else _BELOW.fullmatch(rest)
        else:
            location = _location("models", model) if model else _location("runs", run)
            rest = source.removeprefix(location)
            is_plain = rest != source and _BELOW.fullmatch(rest)
        return bool(location.startswith((f"{self._root}/", "mlflow-artifacts:/")) and is_plain)

    def _relative(self, location: str) -> str:
        """Return the store path of an artifact location."""
        if location.startswith(f"{self._root}/"):
            return unquote(location.removeprefix(f"{self._root}/"))
        return unquote(urlsplit(location).path).strip("/")


def _location(kind: str, name: str) -> str:
    """Return the address of the artifacts of a run or logged model; "" if it does not exist."""
    if (record := _find(kind, name)) is None:
        return ""
    return record.artifact_location if kind == "models" else record.info.artifact_uri


def _find(kind: str, name: str) -> Any:
    """Return the experiment, run or logged model with this id; None if it does not exist."""
    from mlflow.exceptions import MlflowException

    store = _tracking()
    find = {"experiments": "get_experiment", "runs": "get_run", "models": "get_logged_model"}
    try:
        return getattr(store, find[kind])(name)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _tracking() -> Any:
    from mlflow.server.handlers import _get_tracking_store  # pyright: ignore[reportPrivateUsage]

    return _get_tracking_store()
