"""Planted faults: what the verification of exported files catches, and whom it blames falsely.

`python -m benchmarks.mutations` plants every fault alone into a sound export, before its hashes are
written, and judges exports of every architecture as they are; the section `mutations` of
docs/results.md is rewritten.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import one_thread, replace_section
from benchmarks._exports import Export, pendulum_data, random_step
from benchmarks._mutating import FAULTS
from benchmarks._mutating_policies import FAULTS as OF_POLICIES
from benchmarks._mutating_policies import faults_of, sound_policies
from benchmarks._sound import sound_models
from kinemill.dataset import PackedDataset

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
    found: list[tuple[str, dict[str, Any], int, dict[str, Any]]] = []
    for activation in ("relu", "silu", "gelu", "tanh", "elu"):
        model = {"type": "mlp", "hidden_sizes": [32, 32], "activation": activation}
        found.append((f"mlp, {activation}", model, 4, {}))
    for history in (1, 2, 10):
        found.append((f"mlp, history {history}", {"type": "mlp"}, history, {}))
    for kind in ("gru", "lstm", "rnn"):
        for layers, history in ((1, 4), (2, 10)):
            model = {"type": kind, "hidden_size": 24, "layers": layers}
            found.append((f"{kind}, {layers} layers", model, history, {}))
    for norm in (True, False):
        model = {"type": "transformer", "size": 12, "heads": 3, "layers": 1, "layer_norm": norm}
        found.append((f"transformer{', normalized' if norm else ''}", model, 6, {}))
    linear = {"type": "linear", "residual": {"type": "gru", "hidden_size": 5}}
    found += [
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
    return found


SOUND = _sound()


@dataclass(frozen=True)
class Found:
    """What verification said of one export.

    Attributes:
        title: of the fault or of the sound export.
        wanted: words that name the fault; empty for a sound export.
        told: lines that failed.
    """

    title: str
    wanted: tuple[str, ...]
    told: list[str]

    @property
    def caught(self) -> bool:
        """Whether anything was said."""
        return bool(self.told)

    @property
    def named(self) -> bool:
        """Whether it was said what is wrong."""
        return any(word in line for word in self.wanted for line in self.told)


def plant(titles: list[str], data: PackedDataset, scratch: Path) -> list[Found]:
    """Plant faults, each into an export of its own."""
    step, found = random_step(BASE), list[Found]()
    for number, title in enumerate(titles):
        make, wanted = FAULTS[title]
        export = Export(step, scratch / f"fault-{number}")
        make(export)
        found.append(Found(title, wanted, export.faults(data)))
    return found


def clean(titles: list[str], data: PackedDataset, scratch: Path) -> list[Found]:
    """Judge sound exports as they are."""
    found = list[Found]()
    for number, (title, model, history, learn) in enumerate(SOUND):
        if title in titles:
            export = Export(random_step(model, history, number, learn), scratch / f"sound-{number}")
            export.write()
            found.append(Found(title, (), export.faults(data)))
    return found


def clean_fitted(titles: list[str], scratch: Path) -> list[Found]:
    """Judge sound models whose rounding is unusual; `precision` is no blame where it is lost."""
    found = list[Found]()
    for number, one in enumerate(sound_models()):
        if one.title in titles:
            (folder := scratch / f"fitted-{number}").mkdir()
            failed = [line for line in one.verdict(folder) if not line.passed]
            said = [f"{line.name}: {line.value}" for line in failed]
            lost = [line for line in said if line.startswith("precision: ")]
            wrong = [line for line in said if line not in lost]
            if bool(lost) != one.loses:
                wrong += lost or ["precision: a loss that was not said"]
            found.append(Found(one.title, (), wrong))
    return found


def plant_in_policies(titles: list[str], scratch: Path) -> list[Found]:
    """Plant faults of policies, each into an export of its own."""
    return [
        Found(f"policy: {title}", one.names, faults_of(one, scratch / f"policy-{number}"))
        for number, title in enumerate(titles)
        if (one := OF_POLICIES[title])
    ]


def page(planted: list[Found], sound: list[Found]) -> str:
    """Return the table and what it sums up to, as Markdown."""
    lines = ["| planted fault | caught | named | first of what was said |", "|---|---|---|---|"]
    for one in planted:
        told = next((line for line in one.told if any(word in line for word in one.wanted)), "")
        said = (told or (one.told or ["nothing"])[0]).replace("|", "/").splitlines()[0]
        marks = ["yes" if answer else "**no**" for answer in (one.caught, one.named)]
        lines.append(f"| {one.title} | {' | '.join(marks)} | {_short(said)} |")
    caught, named = (sum(getattr(one, key) for one in planted) for key in ("caught", "named"))
    blamed = [one for one in sound if one.caught]
    lines.append(f"| **all {len(planted)}** | **{caught}** | **{named}** | |")
    lines.append(f"| **{len(sound)} sound exports** | **{len(blamed)} blamed** | | |")
    names = "; ".join(one.title for one in sound)
    wrong = "".join(f"\n\nBlamed: {one.title}: {'; '.join(one.told)}." for one in blamed)
    return "\n".join(lines) + f"\n\nSound: {names}.{wrong}\n"


def _short(text: str) -> str:
    """Leave folders out, and what is too long."""
    words = [word.rpartition("/")[2] if word.startswith("/") else word for word in text.split()]
    told = " ".join(words)
    return told if len(told) <= 110 else f"{told[:109]}…"


def main() -> None:
    """Plant, judge, print, and rewrite the section `mutations` of docs/results.md."""
    chosen = argparse.ArgumentParser(description=__doc__)
    chosen.add_argument("--json", action="store_true", help="a document in place of the table")
    options = chosen.parse_args()
    data = pendulum_data()
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        planted = plant(list(FAULTS), data, Path(scratch))
        sound = clean([title for title, *_ in SOUND], data, Path(scratch))
        sound += clean_fitted([one.title for one in sound_models()], Path(scratch))
        planted += plant_in_policies(list(OF_POLICIES), Path(scratch))
        sound += [
            Found(f"policy, {name}", (), told) for name, told in sound_policies(Path(scratch))
        ]
    text = page(planted, sound)
    if options.json:
        document = {
            kind: [vars(one) | {"caught": one.caught, "named": one.named} for one in found]
            for kind, found in (("planted", planted), ("sound", sound))
        }
        print(json.dumps({**document, "table": text}))
        return
    replace_section("mutations", text)
    print(text)


if __name__ == "__main__":
    main()
