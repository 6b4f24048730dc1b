"""Detection rate and false alarms of the verification of exported files.

`python -m benchmarks.mutations` plants every fault alone into a sound export before its hashes are
written, and verifies unchanged exports of every architecture.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import main, markdown_table
from benchmarks._exports import Export, pendulum_data, random_step
from benchmarks._mutating import FAULTS
from benchmarks._sound import sound_models
from kinemill.dataset import PackedDataset
from kinemill.train.devices import single_thread

BASE = {"type": "mlp", "hidden_sizes": [16, 16], "activation": "tanh"}
_ALPHA = {"outputs": {"alpha": {"relation": "derivative", "of": "velocity"}}}
_EQUAL = {
    "outputs": {
        "turned": {"relation": "delta", "of": "angle"},
        "speed": {"relation": "equal", "of": "velocity"},
    }
}


def _sound() -> list[tuple[str, dict[str, Any], int, dict[str, Any]]]:
    """Return title, model, history and further keys of `learn` of every sound export."""
    models: list[tuple[str, dict[str, Any], int, dict[str, Any]]] = []
    for activation in ("relu", "silu", "gelu", "tanh", "elu"):
        model = {"type": "mlp", "hidden_sizes": [32, 32], "activation": activation}
        models.append((f"mlp, {activation}", model, 4, {}))
    for history in (1, 2, 10):
        models.append((f"mlp, history {history}", {"type": "mlp"}, history, {}))
    for kind in ("gru", "lstm", "rnn"):
        for layers, history in ((1, 4), (2, 10)):
            model = {"type": kind, "hidden_size": 24, "layers": layers}
            models.append((f"{kind}, {layers} layers", model, history, {}))
    for norm in (True, False):
        model = {"type": "transformer", "size": 12, "heads": 3, "layers": 1, "layer_norm": norm}
        models.append((f"transformer{', normalized' if norm else ''}", model, 6, {}))
    linear = {"type": "linear", "residual": {"type": "gru", "hidden_size": 5}}
    models += [
        ("mlp, dropout", {"type": "mlp", "dropout": 0.3}, 4, {}),
        ("mlp, layer norm", {"type": "mlp", "layer_norm": True}, 4, {}),
        ("gru, dropout", {"type": "gru", "layers": 2, "dropout": 0.3, "hidden_size": 16}, 4, {}),
        ("linear", {"type": "linear"}, 4, {}),
        ("linear, local, and a gru", {**linear, "local": True}, 4, {}),
        ("polynomial", {"type": "polynomial", "degree": 2, "rows": 2}, 4, {}),
        ("latent", {"type": "latent", "size": 3, "hidden_size": 8}, 4, {}),
        ("rigid body", {"type": "rigid_body"}, 4, _ALPHA),
        ("mlp, acceleration", {"type": "mlp"}, 4, _ALPHA),
        ("mlp, acceleration, euler", {"type": "mlp"}, 4, {**_ALPHA, "integrator": "euler"}),
        ("mlp, acceleration, rk4", {"type": "mlp"}, 4, {**_ALPHA, "integrator": "rk4"}),
        ("mlp, state itself", {"type": "mlp"}, 4, _EQUAL),
        ("ensemble of mlp", {"type": "mlp"}, 4, {"ensemble": 3}),
        ("ensemble of gru", {"type": "gru", "hidden_size": 16}, 4, {"ensemble": 2}),
    ]
    return models


SOUND = _sound()


@dataclass(frozen=True)
class ExportCheck:
    """Failed lines of the verification of one export.

    Attributes:
        title: of the fault or of the sound export.
        expected: words that name the fault; empty for a sound export.
    """

    title: str
    expected: tuple[str, ...]
    failures: list[str]

    @property
    def is_detected(self) -> bool:
        """Whether any line failed."""
        return bool(self.failures)

    @property
    def is_named(self) -> bool:
        """Whether a failed line names the fault."""
        return any(word in line for word in self.expected for line in self.failures)


def plant(titles: list[str], data: PackedDataset, scratch: Path) -> list[ExportCheck]:
    """Plant each fault into a separate export."""
    step, checks = random_step(BASE), list[ExportCheck]()
    for number, title in enumerate(titles):
        make, expected = FAULTS[title]
        export = Export(step, scratch / f"fault-{number}")
        make(export)
        checks.append(ExportCheck(title, expected, export.faults(data)))
    return checks


def clean(titles: list[str], data: PackedDataset, scratch: Path) -> list[ExportCheck]:
    """Verify unchanged sound exports."""
    checks = list[ExportCheck]()
    for number, (title, model, history, learn) in enumerate(SOUND):
        if title in titles:
            export = Export(random_step(model, history, number, learn), scratch / f"sound-{number}")
            export.write()
            checks.append(ExportCheck(title, (), export.faults(data)))
    return checks


def clean_fitted(titles: list[str], scratch: Path) -> list[ExportCheck]:
    """Verify sound models with unusual rounding; `precision` must fail exactly where it is lost."""
    checks = list[ExportCheck]()
    for number, one in enumerate(sound_models()):
        if one.title in titles:
            (folder := scratch / f"fitted-{number}").mkdir()
            failed = [line for line in one.verdict(folder) if not line.passed]
            said = [f"{line.name}: {line.value}" for line in failed]
            lost = [line for line in said if line.startswith("precision: ")]
            wrong = [line for line in said if line not in lost]
            if bool(lost) != one.loses:
                wrong += lost or ["precision: a loss that was not reported"]
            checks.append(ExportCheck(one.title, (), wrong))
    return checks


def page(planted: list[ExportCheck], sound: list[ExportCheck]) -> str:
    """Return the totals, and the faults by the failed check that reports them, as Markdown."""
    detected = sum(one.is_detected for one in planted)
    named = sum(one.is_named for one in planted)
    alarms = [one for one in sound if one.is_detected]
    lines = [
        f"{detected} of {len(planted)} faults are detected, {named} named. {len(sound)} sound "
        f"exports: {len(alarms)} false alarms.",
        "",
    ]
    faults = dict[str, list[str]]()
    for one in planted:
        failures = next(
            (line for line in one.failures if any(word in line for word in one.expected)), ""
        )
        said = failures or (one.failures or ["nothing"])[0]
        missed = "" if one.is_named else "not named: " if one.is_detected else "**missed**: "
        faults.setdefault(f"{missed}{_check_of(said)}", []).append(one.title)
    rows = [[check, "; ".join(titles)] for check, titles in faults.items()]
    lines.append(markdown_table(["failed check", "planted faults"], rows))
    lines += [f"False alarm: {alarm.title}: {'; '.join(alarm.failures)}.\n" for alarm in alarms]
    return "\n".join(lines)


def _check_of(line: str) -> str:
    """Return the check or the file of a failed line: `finite` of `finite: NaN in angle`."""
    return Path(line.rpartition("verification: ")[2].partition(":")[0]).name


def measure() -> str:
    """Plant and verify; return the table."""
    data = pendulum_data()
    with tempfile.TemporaryDirectory() as scratch, single_thread():
        planted = plant(list(FAULTS), data, Path(scratch))
        sound = clean([title for title, *_ in SOUND], data, Path(scratch))
        sound += clean_fitted([model.title for model in sound_models()], Path(scratch))
    return page(planted, sound)


if __name__ == "__main__":
    main("mutations", measure)
