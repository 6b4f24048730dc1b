"""Report page of one version: provenance, data, training, errors and decision.

The HTML is self-contained, fits phones, and has a light and a dark style.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from re import fullmatch

from kinemill.dataset import load_dataset
from kinemill.dataset.environment_card import DOCUMENT as CARD
from kinemill.dataset.environment_card import CardDocument, read_card
from kinemill.dataset.histograms import STYLES, histograms
from kinemill.register import tags
from kinemill.register.audit_log import read_events
from kinemill.register.gate.headline import headline_of
from kinemill.register.provenance_chain import Link, provenance_of
from kinemill.register.robot_trials import trials_of
from kinemill.register.versions import SHORT, Version
from kinemill.reports.charts import number
from kinemill.reports.components import (
    card,
    figure,
    html_page,
    legend,
    mark,
    name_of,
    table,
    value_text,
)
from kinemill.store import ArtifactRef, Home, Json
from kinemill.store.provenance import CHANGED
from kinemill.validate.summary import read_checks, read_quarantine
from kinemill.verify.comparison_sections import HEAD, head_section
from kinemill.verify.findings import best_reference
from kinemill.verify.learning_curves import HEADING, training_section
from kinemill.verify.phrases import label

_REJECTED = 30  # largest number of listed reasons
_REASON = ("check", "channel", "where", "found", "expected")  # columns of a reason
_SUMMARY = {  # numbers of a stage's summary in the provenance table
    "recordings": ("recordings", "tracks", "rows"),
    "episodes": ("accepted", "quarantined", "rows"),
    "dataset": ("episodes", "rows"),
    "model": ("steps", "parameters", "best"),
    "verification": ("passed",),
}
_LOOK = "Numbers in the task's units; the full record is in the registry."


def version_page(home: Home, version: Version, decide: str = "") -> str:
    """Return the page of a version as one HTML document.

    `decide` is the URL of the form for promotion and rollback; empty without one.
    """
    links = provenance_of(home, version)
    model = next((link.folder for link in links if link.stage == "model"), None)
    report = _verified(home, version)
    sections = [
        _header(version, decide),
        _cards(version),
        _gate(version),
        _provenance(version, links),
        _data(home, next((link for link in links if link.stage == "dataset"), None)),
        rejected(next((link for link in links if link.stage == "episodes"), None)),
        training_section(model) if HEADING not in report else "",
        report,
    ]
    return html_page(
        f"{version.task}, version {version.number}", sections, f"Made by kinemill. {_LOOK}"
    )


def _header(version: Version, decide: str) -> str:
    link = f' <a href="{escape(decide)}">Decide about this version</a>' if decide else ""
    made = escape(version.created[:16].replace("T", " "))
    return (
        f'<header><div><div class="eyebrow">Model version</div><h1>{escape(version.task)} '
        f"{version.number}</h1></div>{head_section(headline_of(version), version.status)}"
        f"<p>Made {made} UTC.{link}</p>"
    )


def _cards(version: Version) -> str:
    if version.metrics.returns:
        return _trial_cards(version)
    errors = version.metrics.nrmse
    own = version.tags.get(tags.REFERENCE)
    model = errors.get("model", math.nan)
    best = best_reference(errors, own)
    others = [name for name in dict.fromkeys((best, "persistence")) if name in errors]
    others = [name for name in others if name != own]
    worse = best is not None and model > errors[best]
    text = "on unseen recordings"
    cards = [card("Error, nRMSE", number(model), "", text, "bad" if worse else "")]
    for name in others:
        note = f"{'the best reference, ' * (name == best)}on the same recordings"
        cards.append(card(label(name), number(errors[name]), "", note))
    return f'<div class="cards">{"".join(cards)}</div>'


def _trial_cards(version: Version) -> str:
    """Return the cards of a policy with trials in its environment."""
    cards: list[str] = []
    for what, values in version.metrics.trial_metrics().items():
        text = f"at random {number(values.get('random', math.nan))}"
        cards += [card(what, number(values["model"]), "", text)] if "model" in values else []
    return f'<div class="cards">{"".join(cards)}</div>'


def _gate(version: Version) -> str:
    rows = [
        [
            mark(line.passed, undecided=line.undecided),
            name_of(line.rule),
            value_text(line.value),
            value_text(line.expected),
        ]
        for line in version.gate
    ]
    lines = table(["", "Rule", "Value", "Expected"], rows, fixed=True)
    trials = trials_of(version.number, read_events(version.home, version.task))
    counted = f"<p>Trials on the robot: {trials}. {escape(trials.note)}</p>" if trials else ""
    return f"<h2>Decision of the gate</h2>{counted}{lines}"


def _provenance(version: Version, links: Sequence[Link]) -> str:
    rows = [
        [
            name_of(link.stage),
            f"<code>{link.digest[:SHORT]}</code>",
            escape(_text(link)) if link.folder else "no longer in this home",
        ]
        for link in links
    ]
    others = {
        "bundle": (version.tags.get(tags.ONNX, ""), _onnx(version)),
        "code": _code(version.tags.get(tags.COMMIT, "")),
        "run": (version.run_id or "", "in MLflow"),
    }
    rows += [
        [name_of(name), f"<code>{escape(digest[:SHORT])}</code>" if digest else "–", escape(what)]
        for name, (digest, what) in others.items()
    ]
    return (
        "<h2>Provenance</h2><p>Each artifact is identified by the digest of its manifest, which "
        "contains the digests of its inputs, so changed bytes are detected.</p>"
        + table(["Artifact", "Digest", "Content"], rows)
    )


def _onnx(version: Version) -> str:
    """Return the file that robots load."""
    policy = version.metrics.returns or "mean" in version.metrics.nrmse
    return "policy.onnx" if policy else "rollout.onnx"


def _code(state: str) -> tuple[str, str]:
    """Return the commit, if any, and a description of the code state."""
    commit = state.removesuffix(CHANGED)
    if fullmatch("[0-9a-f]{40}", commit) is None:
        return "", state if state not in ("", "unknown") else "unknown: built outside of git"
    changed = " and uncommitted changes" if commit != state else ""
    return commit, f"commit{changed}"


def _text(link: Link) -> str:
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


def _data(home: Home, link: Link | None) -> str:
    """Return a histogram of every channel in training, validation and test data."""
    if link is None or link.folder is None:
        return ""
    if (link.folder / CARD).is_file():
        return _environment(read_card(link.folder))
    packed = load_dataset(
        home, ArtifactRef(link.folder.relative_to(home.root).as_posix(), link.digest)
    )
    charts = [figure(name, packed.units[name], chart) for name, chart in histograms(packed).items()]
    counts = {split: len(packed.of(split)) for split in STYLES}
    key = {STYLES[split]: f"{split}, {count} episodes" for split, count in counts.items() if count}
    return (
        "<h2>Data</h2><p>Share of the rows over the values of each channel, by split. Where test "
        f"lies outside of train, the model extrapolates.</p>{legend(key)}"
        f'<div class="grid">{"".join(charts)}</div>'
    )


def _environment(card: CardDocument) -> str:
    """Return the section on a policy's environment: channels, and the return of random actions."""
    layout = card.layout
    rows = [
        [name_of(name), role, escape(layout.units[name]), _limits(layout.limits.get(name))]
        for role, names in (("observed", layout.observation), ("action", layout.actions))
        for name in names
    ]
    text = f"Random actions have a mean return of {number(card.random.mean_return)} per episode."
    return f"<h2>Environment</h2><p>{text}</p>{table(['Name', 'Role', 'Unit', 'Limits'], rows)}"


def _limits(ends: Sequence[float] | None) -> str:
    return f"{ends[0]:g} to {ends[1]:g}" if ends else "–"


def rejected(link: Link | None) -> str:
    """Return the section on rejected data: stretches, recordings and reasons."""
    if link is None or link.folder is None:
        return ""
    lost = list(_quarantined(link.folder))
    lost += _faults(link.folder, {name for name, _ in lost})
    rows = [
        [name_of(name), *(escape(str(reason.get(key) or "")) for key in _REASON)]
        for name, reason in lost
    ]
    text = _left_out(link.summary)
    if len(rows) > _REJECTED:
        text += f" The first {_REJECTED} of {len(rows)} reasons:"
    heads = ["Recording", *(key.capitalize() for key in _REASON)]
    return f"<h2>Rejected</h2><p>{text}</p>" + (table(heads, rows[:_REJECTED]) if rows else "")


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


def _left_out(summary: Json) -> str:
    lost = summary["dropped"]
    accepted = summary["rows"]
    whole = summary["quarantined"]
    if not lost and not whole:
        return "No data was left out."
    by = ", ".join(f"{escape(check)} {rows:,}" for check, rows in lost.items())
    rows = sum(lost.values())
    text = f"<b>{rows:,}</b> of {rows + accepted:,} rows were left out" + (f" ({by})" if by else "")
    nothing = f"{whole} of {summary['recordings']} recordings were rejected completely"
    return f"{text}; {nothing if whole else 'no recording was rejected completely'}."


def _verified(home: Home, version: Version) -> str:
    """Return the body of the verification report."""
    report = home.in_store(version.tags.get(tags.BUNDLE, ""), version.name) / "report.html"
    if not report.is_file():
        return ""
    body = report.read_text(encoding="utf-8").partition(HEAD[1])[2].partition("<footer>")[0]
    return f"<h2>Verification</h2>{body}" if body else ""
