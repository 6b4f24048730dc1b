"""Pictures for the catalogue, drawn once for each outcome and kept in the store."""

from pathlib import Path
from typing import Any

from kinemill.home import Home
from kinemill.store import Json, Ref, once, open_ref, read_json

VERSION = 1
_WHO = ("model", "persistence", "linear", "linear_sincos")


def error_growth(home: Home, task: str, verification: Ref) -> Path:
    """Return a PNG of the error over the horizon, one panel a channel in its own unit."""

    def build(folder: Path) -> Json:
        document = read_json(open_ref(home, verification) / "verification.json")
        _draw(document["accuracy"], folder / "error_growth.png")
        return {}

    inputs = {"verification": verification.digest, "version": VERSION}
    outcome = once(home, "pictures", task, inputs, build)
    return home.root / outcome.ref.path / "error_growth.png"


def _draw(accuracy: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    channels = accuracy["model"]["channels"]
    figure = Figure(figsize=(3.4 * len(channels), 2.8), layout="constrained")
    panels = figure.subplots(1, len(channels), squeeze=False)[0]
    for panel, (name, line) in zip(panels, channels.items(), strict=True):
        for who in _WHO:
            errors = accuracy[who]["channels"][name]["by_step"] if who in accuracy else []
            steps = range(1, len(errors) + 1)
            panel.plot(steps, errors, label=who, lw=2.2 if who == "model" else 1.2)
        panel.set(title=name, xlabel="steps ahead", ylabel=f"RMSE, {line['unit']}", yscale="log")
        panel.grid(alpha=0.2)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})
