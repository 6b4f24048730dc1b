"""Names of the models in a comparison, for tables, charts and sentences."""

from kinemill.task.own_code import is_own
from kinemill.verify.document import ModelKind

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
    """Return the name for a table head or a legend."""
    return LABELS.get(name, name.replace("_", " "))


def spoken(name: str, history: int | None = None) -> str:
    """Return the name for a sentence, with the rows of history if there are at least two."""
    text = _NAMES.get(name, name.replace("_", " "))
    if history is None or history < 2:
        return text
    return f"{text} {'and' if ' with ' in text else 'with'} {history} rows of history"


def kind_of(model: ModelKind | None) -> str:
    """Return the kind of a model for a sentence; `model` if it is unknown."""
    if model is None:
        return "model"
    if model.reference:
        return spoken(model.reference, model.history).removeprefix("the ")
    kind = model.kind
    if is_own(kind):
        return f"{kind} model"
    return _KINDS.get(kind, f"{kind.replace('_', ' ')} model" if kind else "model")
