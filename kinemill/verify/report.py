"""report.html: one page that opens anywhere, with everything a person asks about a model."""

from html import escape
from pathlib import Path

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.drawing.charts import number
from kinemill.drawing.pieces import card, contest, mark, name_of, style, table
from kinemill.store import publish_json
from kinemill.verify.accuracy import Errors
from kinemill.verify.figures import LABELS, error_growth, legend, pictured, rollouts, window_errors
from kinemill.verify.judge import Verdict

WORST = 10  # episodes listed


def write(verdict: Verdict, dataset: PackedDataset, folder: Path) -> None:
    """Write verification.json and report.html into `folder`."""
    publish_json(folder / "verification.json", verdict.document)
    (folder / "report.html").write_text(page(verdict, dataset), encoding="utf-8")


def page(verdict: Verdict, dataset: PackedDataset) -> str:
    """Return the whole report as one HTML document without links to anything outside."""
    task = escape(verdict.simulator.interface.task)
    sections = [
        _header(verdict, task),
        _cards(verdict),
        _errors(verdict),
        _growth(verdict),
        _rollouts(verdict, dataset),
        _episodes(verdict, dataset),
        _gates(verdict),
        _facts(verdict, dataset),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{task}: verification</title><style>{style()}</style></head>"
        f"<body><main>{''.join(sections)}"
        "<footer>Made by kinemill from the exported ONNX files alone. "
        "The numbers are in verification.json beside this page.</footer></main></body></html>\n"
    )


def _header(verdict: Verdict, task: str) -> str:
    passed = bool(verdict.document["passed"])
    style, word = ("good", "Verified") if passed else ("bad", "Not verified")
    return (
        f'<header><div><div class="eyebrow">Model verification</div><h1>{task}</h1></div>'
        f'<div class="verdict {style}">{"✓" if passed else "✕"} {word}</div></header>'
        f'<p class="lead">{_lead(verdict)}</p>'
    )


def _lead(verdict: Verdict) -> str:
    """Say in two sentences what the numbers mean."""
    model = verdict.errors["model"]
    failed = [gate.name for gate in verdict.gates if not gate.passed]
    if failed:
        return f"This model must not be used: <b>{escape(', '.join(failed))}</b> failed."
    ahead = model.horizon * model.dt
    off = f"Fed with its own predictions for <b>{ahead:.4g} s</b> ({model.horizon} steps), "
    off += f"it is off by <b>{number(model.nrmse)}</b> of a channel's spread on average"
    against = [
        f"{_compared(model.nrmse, verdict.errors[name].nrmse)} {LABELS[name].replace(',', ' on')}"
        for name in ("linear", "linear_sincos")
    ]
    return f"{off}: {' and '.join(against)}."


def _compared(mine: float, other: float) -> str:
    if not np.isfinite(other):
        return "where nothing sensible comes from"
    share = 1 - mine / other
    return f"<b>{abs(share):.0%}</b> {'less' if share >= 0 else 'more'} than"


def _cards(verdict: Verdict) -> str:
    model, document = verdict.errors["model"], verdict.document
    low, high = model.intervals()[1]
    times = verdict.latency["rollout"]
    ahead_ms = model.horizon * model.dt * 1000
    ratio = max((row.found / row.allowed for row in verdict.parity if row.allowed), default=0.0)
    grouped = document["windows"]["resampled"]
    cards = [
        ("Error, nRMSE", number(model.nrmse), "", f"95 % interval {number(low)} to {number(high)}"),
        _best(verdict),
        (
            f"Rollout, {model.horizon} steps",
            number(times.p50),
            "ms",
            f"p99 {number(times.p99)} ms, {number(ahead_ms / times.p50)} × real time",
        ),
        ("Parity with torch", f"{ratio:.0%}", "of allowed", "at its worst, over all inputs"),
        (
            "Held-out windows",
            str(len(model.starts)),
            "",
            f"worth {model.effective_n} independent {grouped}",
        ),
    ]
    return f'<div class="cards">{"".join(card(*item) for item in cards)}</div>'


def _best(verdict: Verdict) -> tuple[str, str, str, str]:
    """Return the card about the baseline that is hardest to beat."""
    against = verdict.document["against"]
    rivals = {name: item["ratio"] for name, item in against.items() if item["ratio"] is not None}
    if not rivals:
        return "Baselines", "–", "", "none stays finite"
    name = max(rivals, key=lambda rival: rivals[rival])
    low, high = (number(np.nan if end is None else end) for end in against[name]["interval"])
    more = f"95 % interval {low} to {high}"
    return f"Against {LABELS[name]}", number(rivals[name]), "× its error", more


def _errors(verdict: Verdict) -> str:
    model = verdict.errors["model"]
    intervals = {name: found.intervals() for name, found in verdict.errors.items()}
    rows = [
        [
            name_of(channel, model.units[index]),
            *contest(
                {name: float(found.rmse[index]) for name, found in verdict.errors.items()},
                {name: pair[0][index].tolist() for name, pair in intervals.items()},
            ),
        ]
        for index, channel in enumerate(model.channels)
    ]
    rows.append(
        [
            name_of("nRMSE", "mean of RMSE / spread"),
            *contest(
                {name: found.nrmse for name, found in verdict.errors.items()},
                {name: pair[1].tolist() for name, pair in intervals.items()},
            ),
        ]
    )
    heads = ["Channel", *(LABELS[name] for name in verdict.errors)]
    return (
        f"<h2>Error {model.horizon * model.dt:.4g} s ahead</h2>"
        "<p>Root mean square error on the test split, in each channel's unit, after "
        f"{model.horizon} steps of own predictions under the true actions; below it the 95 % "
        f"bootstrap interval over {model.effective_n} {model.grouped_by}. Bold is best.</p>"
        + table(heads, rows, numbers_from=1, even=True)
    )


def _growth(verdict: Verdict) -> str:
    model = verdict.errors["model"]
    return (
        "<h2>How errors grow</h2><p>Root mean square error over seconds ahead; the bar at the end "
        f"is the model's 95 % interval.{_left_out(model)}</p>"
        + legend(LABELS)
        + error_growth(verdict)
    )


def _left_out(model: Errors) -> str:
    shown, every = len(pictured(model)), len(model.channels)
    return "" if shown == every else f" Shown are the {shown} of {every} channels that err most."


def _rollouts(verdict: Verdict, dataset: PackedDataset) -> str:
    styles = {name: LABELS[name] for name in ("model", "linear_sincos")}
    return (
        "<h2>Rollouts against the truth</h2><p>Three held-out windows over seconds; the dashed "
        "line is now. Left of it is what the model knows, right of it what it predicts from its "
        "own predictions. Typical is the median window; nine of ten are better than the hard one."
        f"{_left_out(verdict.errors['model'])}</p>"
        + legend({"truth": "measured"} | styles)
        + rollouts(verdict, dataset)
    )


def _episodes(verdict: Verdict, dataset: PackedDataset) -> str:
    model = verdict.errors["model"]
    each = window_errors(model)
    rows: list[tuple[float, list[str]]] = []
    for episode in dataset.of("test"):
        inside = (model.starts >= episode.start) & (model.starts < episode.stop)
        if not inside.any():
            continue
        rmse = np.sqrt((model.errors[inside] ** 2).mean(axis=0))
        worst = model.starts[inside][np.argmax(each[inside])] + model.history - 1 - episode.start
        mean = float(each[inside].mean())
        cells = [number(float(value)) for value in rmse[pictured(model)]]
        counts = [str(int(inside.sum())), f"{worst * dataset.dt:.2f} s"]
        rows.append((mean, [name_of(episode.name, episode.id[:8]), *counts, *cells]))
    rows.sort(key=lambda row: -row[0])
    channels = [
        f'{escape(model.channels[i])} <span class="unit">{escape(model.units[i])}</span>'
        for i in pictured(model)
    ]
    heads = ["Episode", "Windows", "Worst from", *channels]
    which = f"The {WORST} of {len(rows)} test episodes" if len(rows) > WORST else "Test episodes"
    return (
        f"<h2>Worst episodes</h2><p>{which} with the largest error first; RMSE after "
        f"{model.horizon} steps.</p>"
        + table(heads, [cells for _, cells in rows[:WORST]], numbers_from=1)
    )


def _gates(verdict: Verdict) -> str:
    gates = [
        [mark(gate.passed), name_of(gate.name), escape(gate.found), escape(gate.wanted)]
        for gate in verdict.gates
    ]
    parity = [
        [
            mark(row.passed),
            *(row.what, escape(row.probe), escape(row.channel)),
            *(str(row.batch), f"{row.found:.1e}", f"{row.allowed:.1e}"),
        ]
        for row in verdict.parity
    ]
    return (
        "<h2>Verdict, line by line</h2><p>Judged in a process of its own from the published files. "
        "Accuracy does not decide here; the gate compares it with the champion.</p>"
        + table(["", "Check", "Found", "Wanted"], gates)
        + f"<details><summary>All {len(parity)} comparisons with torch</summary>"
        "<p>Largest difference, in the channel's unit. A step may differ by 1e-5 of the channel's "
        "standard deviation in training or the last bit of float32, a rollout by ten times what "
        "float32 and float64 differ by on the same window.</p>"
        + table(
            ["", "File", "Inputs", "Worst in", "Batch", "Found", "Allowed"], parity, numbers_from=4
        )
        + "</details>"
    )


def _facts(verdict: Verdict, dataset: PackedDataset) -> str:
    interface = verdict.simulator.interface
    rows = {name: sum(item.stop - item.start for item in dataset.of(name)) for name in _SPLITS}
    episodes = {name: len(dataset.of(name)) for name in _SPLITS}
    limits = {name: f"{low:g} to {high:g}" for name, (low, high) in interface.limits.items()}
    channels = [
        [
            name_of(name),
            "state" if name in interface.states else "action",
            escape(interface.units[name]),
            limits.get(name, "–"),
        ]
        for name in (*interface.states, *interface.actions)
    ]
    facts = [
        ["Time step", f"{interface.dt * 1000:.4g} ms"],
        ["History", f"{interface.history} rows, {interface.history * interface.dt:.4g} s"],
        ["Carry", ", ".join(f"{c.name} {list(c.shape)}" for c in interface.carry) or "none"],
        *[
            [f"{name.capitalize()}", f"{episodes[name]} episodes, {rows[name]} rows"]
            for name in _SPLITS
        ],
        ["Dataset", f"<code>{escape(interface.dataset[:16])}</code>"],
        ["One step", f"p50 {number(verdict.latency['step'].p50)} ms"],
        *[[escape(name), escape(version)] for name, version in interface.versions.items()],
    ]
    shape = f"(1, {interface.history}, {len(interface.states)})"
    code = (
        "simulator = kinemill.runtime.load(FOLDER)      # or "
        f"models:/{escape(interface.task)}@champion\n"
        f"simulator.rollout(states, past_actions, actions)  # states {shape}, float32"
    )
    return (
        "<h2>Model and data</h2>"
        f'<div class="two">{table(["Channel", "Role", "Unit", "Limits"], channels)}'
        f"{table(['Fact', ''], facts)}</div><h2>Use it</h2><pre>{code}</pre>"
    )


_SPLITS = ("train", "validation", "test")
