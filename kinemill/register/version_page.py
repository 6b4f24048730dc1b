"""Report page of one version: provenance, data, training, errors and decision.

The HTML is self-contained, fits phones, and has a light and a dark style.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from re import fullmatch

import numpy as np

from kinemill.dataset import load_dataset
from kinemill.dataset.environment_card import DOCUMENT as CARD
from kinemill.dataset.environment_card import read_card
from kinemill.dataset.packed import Packed, PackedDataset
from kinemill.register import tags
from kinemill.register.audit_log import read_events
from kinemill.register.gate.headline import headline_of
from kinemill.register.robot_trials import trials_of
from kinemill.register.versions import Version
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.store import MANIFEST, ArtifactRef, Home, Json, file_digest, read_json
from kinemill.store.provenance import CHANGED
from kinemill.validate.summary import read_checks, read_quarantine
from kinemill.verify.comparison_sections import HEAD, head_section
from kinemill.verify.findings import best_reference
from kinemill.verify.learning_curves import HEADING, training_section
from kinemill.verify.phrases import counted, label

_SUMMARY = {  # numbers of a stage's summary in the provenance table
    "recordings": ("recordings", "tracks", "rows"),
    "episodes": ("accepted", "quarantined", "rows"),
    "dataset": ("episodes", "rows"),
    "model": ("steps", "parameters", "best"),
    "verification": ("passed",),
}
_LOOK = "Numbers in the task's units; the full record is in the registry."

# Each stage with the stage whose digest its manifest contains, newest first.
_BACK = {"dataset": "episodes", "episodes": "recordings"}

_STYLES = {"train": "model", "validation": "linear", "test": "champion"}
_BINS = 40
_SIZE = (340, 212)  # px of a chart


def version_page(home: Home, version: Version, decide: str = "") -> str:
    """Return the page of a version as one HTML document.

    `decide` is the URL of the form for promotion and rollback; empty without one.
    """
    links = {link.stage: link for link in provenance_of(home, version)}
    model = links["model"].folder if "model" in links else None
    report = _verified(home, version)
    training = training_section(model) if HEADING not in report else ""
    body = render(
        "register/version.html.j2",
        version=version,
        head=head_section(headline_of(version), version.status),
        decide=decide,
        cards=_cards(version),
        trials=trials_of(version.number, read_events(version.home, version.task)),
        artifacts=[*_artifacts(links.values()), *_more_artifacts(version)],
        **_data(home, links.get("dataset")),
        sections="".join([rejected(links.get("episodes")), training, report]),
    )
    return html_page(
        f"{version.task}, version {version.number}", [body], f"Made by kinemill. {_LOOK}"
    )


Card = tuple[str, str, str, str, str]  # title, number, unit, remark, tone


def _cards(version: Version) -> list[Card]:
    if version.metrics.returns:  # a policy with trials in its environment
        return [
            (
                what,
                number(values["model"]),
                "",
                f"at random {number(values.get('random', math.nan))}",
                "",
            )
            for what, values in version.metrics.trial_metrics().items()
            if "model" in values
        ]
    errors = version.metrics.nrmse
    reference = version.tags.get(tags.REFERENCE)
    model = errors.get("model", math.nan)
    best = best_reference(errors, reference)
    others = [name for name in dict.fromkeys((best, "persistence")) if name in errors]
    is_worse = best is not None and model > errors[best]
    text = "on the test split"
    cards: list[Card] = [("Error, nRMSE", number(model), "", text, "bad" if is_worse else "")]
    for name in others:
        if name != reference:
            note = f"{'the best reference, ' * (name == best)}on the same rows"
            cards.append((label(name), number(errors[name]), "", note, ""))
    return cards


@dataclass(frozen=True)
class Link:
    """One artifact in the provenance of a version.

    Attributes:
        stage: the stage that built it.
        digest: digest of the artifact in the inputs of the next stage.
        folder: folder of the artifact; None if it was deleted from this home.
        summary: summary of the stage.
    """

    stage: str
    digest: str
    folder: Path | None
    summary: Json


def _artifacts(links: Iterable[Link]) -> Iterator[tuple[str, str, str]]:
    """Yield name, digest and content of each stage's artifact."""
    for link in links:
        content = _content(link) if link.folder else "no longer in this home"
        yield link.stage, link.digest, content


def _more_artifacts(version: Version) -> Iterator[tuple[str, str, str]]:
    """Yield name, digest and content of the file that robots load, of the code, and of the run."""
    is_policy = version.metrics.returns or "mean" in version.metrics.nrmse
    file = "policy.onnx" if is_policy else "rollout.onnx"
    yield "bundle", version.tags.get(tags.ONNX, ""), file
    yield "code", *_code(version.tags.get(tags.COMMIT, ""))
    yield "run", version.run_id or "", "in MLflow"


def _code(state: str) -> tuple[str, str]:
    """Return the commit, if any, and a description of the code state."""
    commit = state.removesuffix(CHANGED)
    if fullmatch("[0-9a-f]{40}", commit) is None:
        return "", state if state not in ("", "unknown") else "unknown: built outside of git"
    changed = " and uncommitted changes" if commit != state else ""
    return commit, f"commit{changed}"


def _content(link: Link) -> str:
    if "random" in link.summary:
        return "the card of an environment"
    parts: list[str] = []
    for name in _SUMMARY.get(link.stage, ()):
        value = link.summary.get(name)
        if isinstance(value, dict):
            value = sum(value.values())
        if isinstance(value, bool):
            parts.append(name if value else f"not {name}")
        elif isinstance(value, int | float):
            parts.append(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4g}")
    return ", ".join(parts)


def _data(home: Home, link: Link | None) -> dict[str, object]:
    """Return a histogram of every channel in each split, or the card of the environment."""
    missing: dict[str, object] = {"environment": None, "packed": None}
    if link is None or link.folder is None:
        return missing
    if (link.folder / CARD).is_file():
        return missing | {"environment": read_card(link.folder)}
    packed = load_dataset(
        home, ArtifactRef(link.folder.relative_to(home.root).as_posix(), link.digest)
    )
    counts = {split: len(packed.of(split)) for split in _STYLES}
    splits = {
        _STYLES[split]: f"{split}, {counted(count, 'episodes')}"
        for split, count in counts.items()
        if count
    }
    return missing | {"packed": packed, "charts": _histograms(packed), "splits": splits}


def rejected(link: Link | None) -> str:
    """Return the section on rejected data: stretches, recordings and reasons."""
    if link is None or link.folder is None:
        return ""
    reasons = list(_quarantined(link.folder))
    reasons += _faults(link.folder, {name for name, _ in reasons})
    return render("register/rejected.html.j2", summary=link.summary, reasons=reasons)


def _quarantined(folder: Path) -> Iterator[tuple[str, Json]]:
    """Yield the reasons for recordings without accepted data, with their names."""
    for log in read_quarantine(folder):
        for reason in log.reasons:
            yield log.name, reason


def _faults(folder: Path, left_out: set[str]) -> list[tuple[str, Json]]:
    """Return the findings in recordings with accepted data."""
    return [
        (fault["recording"], fault)
        for check in read_checks(folder)
        for fault in check.values.get("failing") or []
        if not check.passed and isinstance(fault, dict)
        if {"recording", "where"} <= fault.keys() and fault["recording"] not in left_out
    ]


def _verified(home: Home, version: Version) -> str:
    """Return the body of the verification report."""
    report = home.in_store(version.tags.get(tags.BUNDLE, ""), version.name) / "report.html"
    if not report.is_file():
        return ""
    body = report.read_text(encoding="utf-8").partition(HEAD[1])[2].partition("<footer>")[0]
    return f"<h2>Verification</h2>{body}" if body else ""


def provenance_of(home: Home, version: Version) -> list[Link]:
    """Return the links of a version, from the recordings to the verification."""
    stood_on = {
        stage: version.tags[tag]
        for stage, tag in (
            ("verification", tags.VERIFICATION),
            ("model", tags.MODEL),
            ("dataset", tags.DATASET),
        )
        if tag in version.tags
    }
    links = [_link(home, version.task, stage, digest) for stage, digest in stood_on.items()]
    return [*links, *_earlier_links(home, version.task, links)][::-1]


def _earlier_links(home: Home, task: str, links: list[Link]) -> Iterator[Link]:
    link = next((item for item in links if item.stage == "dataset"), None)
    while link is not None and link.folder is not None and link.stage in _BACK:
        stage = _BACK[link.stage]
        digest = read_json(link.folder / MANIFEST).get("inputs", {}).get(stage)
        link = _link(home, task, stage, digest) if isinstance(digest, str) else None
        if link is not None:
            yield link


def _link(home: Home, task: str, stage: str, digest: str) -> Link:
    folder = _folder(home, task, stage, digest)
    summary = read_json(folder / "summary.json") if folder else {}
    return Link(stage, digest, folder, summary)


def _folder(home: Home, task: str, stage: str, digest: str) -> Path | None:
    """Return the folder of an artifact, by the digest of its manifest or of its content."""
    for manifest in (home.store / stage / task).glob(f"*/{MANIFEST}"):
        folder = manifest.parent
        if digest in (file_digest(manifest), read_json(folder / "summary.json").get("digest")):
            return folder
    return None


def _histograms(packed: PackedDataset) -> dict[str, str]:
    """Return a chart by channel, inline SVG, with a line for each split that has episodes."""
    splits = {
        split: np.concatenate([packed.rows(episode) for episode in packed.of(split)])
        for split in _STYLES
        if packed.of(split)
    }
    return {
        name: _chart(splits, column, axis_label(name, packed.units[name]))
        for column, name in enumerate(packed.columns)
    }


def _chart(splits: Mapping[str, Packed], column: int, label: str) -> str:
    values = {split: rows[:, column] for split, rows in splits.items()}
    low = min((float(rows.min()) for rows in values.values()), default=0.0)
    high = max((float(rows.max()) for rows in values.values()), default=1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    lines: list[Line] = []
    for split, rows in values.items():
        share = np.histogram(rows, edges)[0] / len(rows)
        # A staircase needs a value at the last edge as well.
        lines.append(
            Line(split, _STYLES[split], edges, np.append(share, share[-1]), staircase=True)
        )
    return line_chart(lines, labels=(label, "share of rows"), size=_SIZE)
