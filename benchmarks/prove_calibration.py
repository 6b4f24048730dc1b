"""Calibration of learned models on hardware logs: `make prove-calibration`.

Trains an ensemble with learned variance for each of five sets of real logs, through the whole
pipeline, in a separate home under `prove/calibration/` of KINEMILL_HOME. The coverage of 90 %
intervals is that of the verification on the test episodes: without correction, with the conformal
correction from the validation episodes, and with intervals that also follow the errors of the run.
`--row NAME` proves one set; sets that did not run are marked.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import EXAMPLES, _proof
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.document import Verification, read_verification

STEPS, HORIZON = (1, 2, 5, 10, 25, 50), 50
LOW, HIGH = 0.85, 0.95  # coverage to reach
ENSEMBLE: dict[str, Any] = {
    "learn.model": {"type": "mlp", "hidden_sizes": [64, 64], "activation": "silu"},
    "learn.gauss_newton": None,
    "learn.optimizer.lr": 2e-3,
    "learn.ensemble": 5,
    "learn.loss": "gaussian",
    "learn.steps": 1000,
    "learn.horizon": HORIZON,  # the variances are those of the steps that are measured
    "learn.eval_every": 100,
    "export.conformal": "online",
    "verify.horizon": HORIZON,
    "promote.allow_reference": False,
}


@dataclass(frozen=True)
class Logs:
    """A set of logs: its folder, and what differs from ENSEMBLE."""

    folder: str
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


SETS = {
    "cascaded_tanks": Logs("cascaded_tanks", {"verify.stride": 5, "learn.history": 5}),
    # A whole recording: the ends of the others are shorter than 50 steps.
    "simple_pendulum": Logs("simple_pendulum", {"dataset.validation": ["*sac*"]}),
    "double_pendulum": Logs("double_pendulum_sysid", {"learn.steps": 600}),
    "silverbox": Logs("silverbox", {"learn.steps": 600}),
    "g1": Logs("g1_lerobot", {"learn.steps": 400}),
}


def home_of(name: str) -> Path:
    """Return the home of a set."""
    return _proof.results_folder("calibration") / name


def verified(name: str) -> Verification | None:
    """Return the newest verification.json of a set; None if it did not run."""
    if not (home_of(name) / "run.json").is_file():
        return None
    documents = (home_of(name) / "store" / "verification" / name).glob("*/verification.json")
    newest = max(documents, key=lambda path: path.stat().st_mtime, default=None)
    return read_verification(newest.parent) if newest else None


def line(name: str, correction: str, nrmse: float, coverage: dict[str, list[Any]]) -> list[str]:
    """Return a row of the table from the coverage by state, T numbers each."""
    shares: Floats = np.array(list(coverage.values()), dtype=np.float64).mean(axis=0)
    cells = [f"{shares[step - 1]:.0%}" for step in STEPS]
    inside = int(((shares >= LOW) & (shares <= HIGH)).sum())
    return [name, f"{nrmse:.3g}", correction, *cells, f"{inside} of {len(shares)}"]


def rows(name: str) -> list[list[str]]:
    """Return the rows of a set: without correction, with it, and with online intervals."""
    document = verified(name)
    analysis = document.analysis if document else None
    calibration = analysis.calibration if analysis else None
    if document is None or calibration is None:
        return [[name, "not run"]]
    nrmse = float(document.metrics.nrmse["model"])
    coverages = {
        "none": calibration.uncorrected,
        "validation": calibration.offline,
        "online": calibration.coverage,
    }
    return [line(name, key, nrmse, one["0.9"]) for key, one in coverages.items() if one]


def main() -> None:
    """Prove the sets and rewrite the section `calibration` of docs/results-*.md."""
    options = _proof.parser(__doc__, SETS).parse_args()
    _proof.require(_proof.DATA)
    for name in options.row or SETS:
        home, logs, task = home_of(name), SETS[name], str(EXAMPLES / f"{name}.yaml")
        words = ["--logs", str(_proof.DATA / logs.folder)]
        words += _proof.overridden(ENSEMBLE | logs.settings)
        _proof.cached(home / "run.json", partial(_proof.kinemill, home, "run", task, *words))
    steps = [f"{step} step{'s' * (step > 1)}" for step in STEPS]
    head = ["set", "nrmse", "correction", *steps, "steps with 85 to 95 %"]
    _proof.write("calibration", _proof.table(head, [row for name in SETS for row in rows(name)]))


if __name__ == "__main__":
    main()
