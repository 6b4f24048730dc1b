"""How sure learned models are, on hardware logs: `make prove-calibration`.

Networks of the double pendulum that say how sure they are, each through the whole chain in a home
of its own under `var/prove/`, or PROVE_HOME; what is finished is kept. Read is what verification
found on the test split: how often the truth lies inside of the intervals.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import replace_section
from benchmarks.prove_transfer import DATA, HOMES, NETWORK, OLD, run
from kinemill.verify.document import Verification, read_verification

STEPS = (1, 5, 25)
WAYS: dict[str, dict[str, Any]] = {
    "5 members": {"learn.ensemble": 5},
    "likelihood": {"learn.loss": "gaussian"},
    "5 members, likelihood": {"learn.ensemble": 5, "learn.loss": "gaussian"},
}


def prove(name: str) -> Verification:
    """Return verification.json of the model that is learned in one way."""
    home = HOMES / f"calibration-{name.replace(', ', '-').replace(' ', '-')}"
    home.mkdir(parents=True, exist_ok=True)
    run(home / "run.json", home, OLD, "double_pendulum_sysid", NETWORK | WAYS[name])
    (found,) = (home / "store" / "verification" / OLD).glob("*/verification.json")
    return read_verification(found.parent)


def rows() -> Iterator[str]:
    """Yield the rows of the table: shares at some steps, mean over the states."""
    for name in WAYS:
        document = prove(name)
        cells = list[str]()
        calibration = document.analysis.calibration if document.analysis else None
        coverage = calibration.coverage if calibration else {}
        for step in STEPS:
            for by_channel in coverage.values():
                cells.append(f"{fmean(of[step - 1] for of in by_channel.values()):.0%}")
        nrmse = document.metrics.nrmse["model"]
        yield f"| {name} | {nrmse:.3g} | {' | '.join(cells)} |"


def main() -> None:
    """Prove all ways and rewrite the section `calibration` of docs/results.md."""
    if not Path(DATA).is_dir():
        sys.exit(f"{DATA} is not here: the proof reads real logs kept beside the checkout")
    heads = [
        f"{level} at {step} step{'s' * (step > 1)}" for step in STEPS for level in ("50 %", "90 %")
    ]
    text = [f"| model | nrmse | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|", *rows()]
    replace_section("calibration", "\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
