"""report.html of a policy: one page that opens anywhere, with what a person asks about it."""

from html import escape
from pathlib import Path

import numpy as np

from kinemill.reports.charts import number
from kinemill.reports.components import card, contest, mark, name_of, table
from kinemill.reports.gif import film, inline
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.window_metrics import Floats
from kinemill.store import Json, publish_json
from kinemill.verify.comparison_sections import DECISION, verified_head
from kinemill.verify.files import read_model
from kinemill.verify.learning_curves import training_section
from kinemill.verify.networks import network_section
from kinemill.verify.policies.charts import acted_chart, error_charts, returns_chart
from kinemill.verify.policies.evaluate_files import Verdict
from kinemill.verify.policies.trials import filmed, trial_seeds
from kinemill.verify.report_sections import document

SHOWN, CHOICES = 8, 100  # actions in charts; steps of one that is a choice
HEADS = {"model": "model", "repeat": "as the row before", "linear": "linear"}


def write(verdict: Verdict, found: Json, folder: Path) -> None:
    """Write verification.json, which is `found`, and report.html into `folder`."""
    publish_json(folder / "verification.json", found)
    (folder / "report.html").write_text(page(verdict, found), encoding="utf-8")


def page(verdict: Verdict, found: Json) -> str:
    """Return the whole report as one HTML document without links to anything outside."""
    task = verdict.subject.trained.task
    sections = [
        _header(found, escape(task)),
        _cards(verdict, found),
        DECISION,
        _returns(verdict, found),
        _film(verdict),
        _actions(verdict),
        _errors(verdict),
        training_section(verdict.subject.source),
        _gates(verdict),
        network_section(read_model(verdict.subject.folder / POLICY)),
        _facts(verdict),
    ]
    footer = (
        "Made by kinemill from the exported ONNX file alone. "
        "The numbers are in verification.json beside this page."
    )
    return document(f"{task}: verification", sections, footer)


def _header(found: Json, task: str) -> str:
    return (
        f'<header><div><div class="eyebrow">Policy verification</div><h1>{task}</h1></div>'
        f"{verified_head(found)}"
    )


def _cards(verdict: Verdict, found: Json) -> str:
    times, cards = verdict.latency["act"], list[str]()
    if verdict.looped:
        model = verdict.looped.model
        ends = model.interval()
        low, high = ends["return"]
        text = f"95 %: {number(low)} to {number(high)}, {len(model.returns)} episodes"
        cards.append(card("Return", number(model.mean_return), "", text))
        if model.success is not None:
            low, high = ends["success"]
            text = f"95 %: {low:.0%} to {high:.0%}"
            cards.append(card("Success", f"{model.success:.0%}", "of episodes", text))
    if verdict.held_out:
        error = found["metrics"]["nrmse"]["model"]
        rows = f"{found['windows']['rows']} held-out rows"
        cards.append(card("Error of actions", number(error), "of their spread", rows))
    step = verdict.subject.trained.dt * 1e3
    text = f"p99 {number(times.p99)} ms; a step takes {step:.4g} ms"
    cards.append(card("One action", number(times.p50), "ms", text))
    held = sum(row.passed for row in verdict.tried.parity)
    text = "any batch, two threads, many steps in a row"
    cards.append(card("Parity with torch", f"{held} of {len(verdict.tried.parity)}", "", text))
    return f'<div class="cards">{"".join(cards)}</div>'


def _returns(verdict: Verdict, found: Json) -> str:
    if verdict.looped is None:
        return ""
    looped, rows = verdict.looped, list[list[str]]()
    for who, tried in (("model", looped.model), ("at random", looped.random)):
        ends = tried.interval()
        low, high = ends["return"]
        success = "–"
        if tried.success is not None:
            success = f"{tried.success:.0%} ({ends['success'][0]:.0%} – {ends['success'][1]:.0%})"
        text = f"{number(tried.mean_return)} ({number(low)} – {number(high)})"
        steps = f"{np.mean(tried.lengths):.4g}"
        rows.append([name_of(who), text, success, steps])
    low, high = found["against"]["random"]["return"]
    seeds = looped.model.seeds
    return (
        "<h2>What it brings</h2>"
        f"<p>{len(seeds)} episodes, seeds {seeds[0]} to {seeds[-1]}, that nothing was trained or "
        "chosen by. In brackets the 95 % bootstrap interval over episodes. From the same starts it "
        f"brings {number(low)} to {number(high)} more than actions drawn at random.</p>"
        + table(["Who acts", "Return", "Success", "Steps"], rows, numbers_from=1)
        + returns_chart(looped.model, looped.random)
    )


def _film(verdict: Verdict) -> str:
    task = verdict.subject.task
    if task.environment is None:
        return ""
    seed = trial_seeds(task)[0]
    frames = filmed(task, verdict.subject.policy, seed)
    if frames is None:
        return ""
    picture = inline(film(frames, task.dt), f"{escape(task.name)}, the episode of seed {seed}")
    return (
        f'<h2>One episode</h2><div class="panel">{picture}<p>Seed {seed}, in real time.</p></div>'
    )


def _actions(verdict: Verdict) -> str:
    """Show what is sent: in an episode that was tried, else on held-out logs, against limits."""
    policy, dt = verdict.subject.policy, verdict.subject.trained.dt
    acted = np.zeros((0, len(policy.actions)))
    if verdict.looped and verdict.looped.model.episodes:
        one = verdict.looped.model.episodes[0]
        acted = one.actions.reshape(len(one.rewards), -1).astype(np.float64)
    elif verdict.held_out:
        first = verdict.held_out.episodes[0]
        acted = verdict.held_out.acted[first.start : first.stop].astype(np.float64)
    if not len(acted):
        return ""
    rows, charts = list[list[str]](), list[str]()
    for place, name in enumerate(policy.actions):
        limits = policy.limits.get(name, (-np.inf, np.inf))
        values, choices = acted[:, place], policy.interface.choices[place]
        text = _chosen(values, choices) if choices else _sent(values, *limits)
        rows.append([name_of(name, policy.units[name]), *text])
        if place < SHOWN:
            shown = values[:CHOICES] if choices else values
            charts.append(acted_chart(name, policy.units[name], shown, limits, dt))
    return (
        "<h2>Actions against their limits</h2><p>In one episode; dashed are the limits.</p>"
        + table(["Action", "Sent", "Limits", "At a limit"], rows, numbers_from=1)
        + f'<div class="grid">{"".join(charts)}</div>'
    )


def _sent(values: Floats, low: float, high: float) -> list[str]:
    at = float(np.mean((values <= low) | (values >= high)))
    span = f"{number(float(values.min()))} to {number(float(values.max()))}"
    return [span, f"{number(low)} to {number(high)}", f"{at:.0%}"]


def _chosen(values: Floats, choices: int) -> list[str]:
    """Say how often each choice was made, the most frequent first."""
    shares = np.bincount(values.astype(int), minlength=choices) / len(values)
    often = [f"{int(one)}: {shares[one]:.0%}" for one in np.argsort(-shares)[:4] if shares[one]]
    return [", ".join(often), f"0 to {choices - 1}", "–"]


def _errors(verdict: Verdict) -> str:
    if verdict.held_out is None:
        return ""
    errors = verdict.held_out.errors
    model, intervals = errors["model"], {who: it.intervals() for who, it in errors.items()}
    rows = [
        [
            name_of(name, model.units[place]),
            *contest(
                {who: float(it.rmse[place]) for who, it in errors.items()},
                {who: pair[0][place].tolist() for who, pair in intervals.items()},
            ),
        ]
        for place, name in enumerate(model.channels)
    ]
    whole = {who: pair[1].tolist() for who, pair in intervals.items()}
    rows.append(
        [
            name_of("nRMSE", "mean of RMSE / spread"),
            *contest({who: it.nrmse for who, it in errors.items()}, whole),
        ]
    )
    return (
        "<h2>How far its actions are off</h2><p>Root mean square error on the test split, in each "
        "action's unit: the policy sees each episode from its beginning on. Below it the 95 % "
        f"interval, from {model.effective_n:.0f} independent {model.unit}. Bold is best.</p>"
        + table(["Action", *(HEADS[who] for who in errors)], rows, numbers_from=1, even=True)
        + f'<div class="grid">{"".join(error_charts(verdict.held_out, SHOWN))}</div>'
    )


def _gates(verdict: Verdict) -> str:
    gates = [
        [mark(line.passed), name_of(line.name), escape(line.found), escape(line.wanted)]
        for line in verdict.gates
    ]
    parity = [
        [
            *(mark(row.passed), escape(row.probe), escape(row.action), str(row.batch)),
            *(str(row.steps), str(row.threads), f"{row.found:.1e}", f"{row.allowed:.1e}"),
        ]
        for row in verdict.tried.parity
    ]
    heads = ["", "Inputs", "Worst in", "Batch", "Steps", "Threads", "Found", "Allowed"]
    return (
        "<h2>Checks of the exported file</h2><p>Run in a separate process on the published file. "
        "Returns do not decide here; the gate compares them with the champion's.</p>"
        + table(["", "Check", "Found", "Wanted"], gates, fixed=True)
        + f"<details><summary>All {len(parity)} comparisons with torch</summary><p>Largest "
        "difference, in the action's unit. It may be 1e-5 of the action's scale, or ten times what "
        "one bit more or less in each weight and input makes of it.</p>"
        + table(heads, parity, numbers_from=3)
        + "</details>"
    )


def _facts(verdict: Verdict) -> str:
    interface = verdict.subject.policy.interface
    layout = interface.layout
    limits = {name: f"{low:g} to {high:g}" for name, (low, high) in interface.limits.items()}
    channels = [
        [name_of(name), role, escape(layout.units[name]), limits.get(name, "–")]
        for role, names in (("observed", layout.observation), ("action", layout.actions))
        for name in names
    ]
    channels += [
        [name_of(name), "picture", " × ".join(map(str, shape)), "0 to 255"]
        for name, shape in layout.images.items()
    ]
    channels += [[name_of(n), "text", f"{size} bytes", "–"] for n, size in layout.texts.items()]
    facts = [
        ["Time step", f"{interface.dt * 1000:.4g} ms"],
        ["Carry", ", ".join(f"{c.name} {list(c.shape)}" for c in interface.carry) or "none"],
        ["Draws at random", "by the seed of `reset`" if layout.seeded else "never"],
        ["Learned from", f"<code>{escape(interface.dataset[:16])}</code>"],
        *[[escape(name), escape(version)] for name, version in interface.versions.items()],
    ]
    code = (
        "policy = kinemill.runtime.load(FOLDER)      # or "
        f"models:/{escape(interface.task)}@champion\npolicy.reset(seed=0)\n"
        f"action = policy.act(observation)            # {escape(', '.join(layout.actions))}"
    )
    return (
        "<h2>Policy</h2>"
        f'<div class="two">{table(["Channel", "Role", "Unit", "Limits"], channels)}'
        f"{table(['Fact', ''], facts)}</div><h2>Use it</h2><pre>{code}</pre>"
    )
