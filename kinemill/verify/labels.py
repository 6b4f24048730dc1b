"""Names of the models in a comparison, in the words of tables, charts and sentences."""

from collections.abc import Mapping
from typing import Any

LABELS: dict[str, str] = {
    "model": "this model",
    "champion": "champion",
    "persistence": "persistence",
    "constant_velocity": "constant velocity",
    "linear": "linear",
    "linear_sincos": "linear, sin/cos",
    "physics": "fitted physics",
    "random": "random actions",
    "repeat": "repeat last action",
}
_NAMES = {  # in a sentence
    "constant_velocity": "constant velocity",
    "linear": "the linear model",
    "linear_sincos": "the linear model with sin/cos features",
    "physics": "the fitted physics model",
    "champion": "the champion",
    "random": "random actions",
    "repeat": "repeating the last action",
}
_KINDS = {"arx": "linear model", "mlp": "MLP", "gru": "GRU", "lstm": "LSTM", "tcn": "TCN"}


def label(name: str) -> str:
    """Return the name for the head of a table or a legend."""
    return LABELS.get(name, name.replace("_", " "))


def spoken(name: str, about: Mapping[str, Any] | None = None) -> str:
    """Return the name for a sentence, with its rows of history where they are known."""
    text = _NAMES.get(name, name.replace("_", " "))
    rows = (about or {}).get("history")
    if not isinstance(rows, int) or rows < 2:
        return text
    return f"{text} {'and' if ' with ' in text else 'with'} {rows} rows of history"


def kind_of(about: Mapping[str, Any] | None) -> str:
    """Return what a model is, from `model` of its verification: `reference` or `kind`."""
    about = about or {}
    if reference := about.get("reference"):
        return spoken(str(reference), about).removeprefix("the ")
    kind = str(about.get("kind") or "")
    return _KINDS.get(kind, f"{kind.replace('_', ' ')} model" if kind else "model")
