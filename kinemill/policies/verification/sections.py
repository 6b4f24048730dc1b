"""The parts of a report that only policies have, as HTML.

Symbols: N steps, A actions.
"""

from collections.abc import Mapping

import numpy as np

from kinemill.policies.environments.evaluation import Recorded, Trials
from kinemill.policies.environments.kinds.legged import LeggedEnvironment
from kinemill.policies.environments.legged.clips import COMMAND, TRUNK, Clip, ClipTable
from kinemill.policies.environments.video import record_video
from kinemill.policies.verification.action_errors import HeldOut
from kinemill.policies.verification.subject import PolicySubject
from kinemill.policies.verification.viewer import episode_viewer
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card
from kinemill.reports.templates import render
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.document import Verification
from kinemill.verify.learning_curves import training_section
from kinemill.verify.phrases import label, samples, spoken
from kinemill.verify.report_sections import Parts, error_table, has_interval, limits_text
from kinemill.verify.results import PolicyGain

MOST = 8  # most actions with a chart
STEPS = 500
CHOICES = 100  # most steps in a chart, and in one of an action with choices
Chart = tuple[str, str, str]  # name, unit, SVG


def policy_parts(subject: PolicySubject, document: Verification) -> Parts:
    """Return returns, one episode, actions, errors and training of a policy."""
    interface = subject.policy.interface
    layout = interface.layout
    channels = [
        [name, role, layout.units[name], limits_text(interface.limits, name)]
        for role, names in (("observed", layout.observation), ("action", layout.actions))
        for name in names
    ]
    channels += [
        [name, "picture", " × ".join(map(str, shape)), "0 to 255"]
        for name, shape in layout.images.items()
    ]
    channels += [[n, "text", f"{size} bytes", "–"] for n, size in layout.texts.items()]
    return Parts(
        kind="Policy",
        cards=_cards(subject, document),
        sections=[
            _returns(subject, document),
            _episode(subject),
            _actions(subject),
            errors_section(subject.held_out, "the test split") if subject.held_out else "",
            training_section(subject.source),
        ],
        checks_note="Returns are not a check; the gate compares them with those of the champion.",
        channels=channels,
        facts=[["Random", "by the seed of `reset`" if layout.seeded else "never"]],
        code="policy = kinemill.runtime.load(FOLDER)      # or "
        f"models:/{interface.task}@champion\npolicy.reset(seed=0)\n"
        f"action = policy.act(observation)            # {', '.join(layout.actions)}",
    )


def _cards(subject: PolicySubject, document: Verification) -> list[str]:
    latency = next(iter(document.latency_ms.values()))  # of one action
    cards = list[str]()
    if subject.trials:
        model = subject.trials.model
        intervals = model.interval()
        low, high = intervals["return"]
        text = f"95 %: {number(low)} to {number(high)}, {len(model.returns)} episodes"
        cards.append(card("Return", number(model.mean_return), "", text))
        if model.success is not None:
            low, high = intervals["success"]
            text = f"95 %: {low:.0%} to {high:.0%}"
            cards.append(card("Success", f"{model.success:.0%}", "of episodes", text))
    if subject.held_out:
        error = document.metrics.nrmse["model"]
        rows = f"{document.windows.count} held-out rows"
        cards.append(card("Error of actions", number(error), "of their std", rows))
    text = f"p99 {number(latency.p99)} ms; a step takes {subject.trained.dt * 1e3:.4g} ms"
    cards.append(card("One action", number(latency.p50), "ms", text))
    passed = sum(row.passed for row in document.parity)
    text = "any batch, two threads, many consecutive steps"
    count = f"{passed} of {len(document.parity)}"
    return [*cards, card("Parity with torch", count, "", text)]


def _returns(subject: PolicySubject, document: Verification) -> str:
    if subject.trials is None:
        return ""
    by_actor = {"model": subject.trials.model, "random": subject.trials.random}
    return returns_section(by_actor, document.gains)


def returns_section(trials: Mapping[str, Trials], gains: Mapping[str, PolicyGain]) -> str:
    """Return the table and the chart of returns, `model` first, all from the same starts."""
    styles = {who: "persistence" if who == "random" else who for who in trials}
    lines = list[Line]()
    for who, trial in reversed([*trials.items()]):
        values = np.sort(np.asarray(trial.returns, dtype=np.float64))
        lines.append(Line(label(who), styles[who], np.linspace(0.0, 1.0, len(values)), values))
    axes = ("share of episodes, lowest return first", "return")
    return render(
        "policies/verification/returns.html.j2",
        seeds=trials["model"].seeds,
        actors=[(who, trial, trial.interval()) for who, trial in trials.items()],
        gains=gains,
        label=label,
        spoken=spoken,
        styles={styles[who]: label(who) for who in trials},
        chart=line_chart(lines, labels=axes, size=(700, 212)),
    )


def _episode(subject: PolicySubject) -> str:
    if subject.trials is None or not subject.trials.model.episodes:
        return ""
    episode = subject.trials.model.episodes[0]
    motion = _recorded_motion(subject, episode)
    video = record_video(subject.task, subject.policy, episode.seed, motion=motion)
    return episode_viewer(episode, video)


def _recorded_motion(subject: PolicySubject, episode: Recorded) -> ClipTable | None:
    """Return the logged motion of a legged robot with the command closest to that of an episode."""
    data = subject.demonstrations
    environment = subject.task.environment
    if data is None or not isinstance(environment, LeggedEnvironment):
        return None
    body = environment.body()
    names = [*TRUNK, *body.joints, *COMMAND]
    logged = [packed for split in ("test", "train") for packed in data.packed.of(split)]
    if not logged or any(name not in (*data.packed.columns, *data.roles) for name in names):
        return None
    observed = data.observed(names).astype(np.float64)
    command = episode.observations["observation"][0][-len(COMMAND) :]
    commands = [
        observed[packed.start : packed.stop, -len(COMMAND) :].mean(axis=0) for packed in logged
    ]
    nearest = int(np.linalg.norm(np.array(commands) - command, axis=1).argmin())
    closest = logged[nearest]
    rows = observed[closest.start : closest.stop]
    # Logs have quaternions as x, y, z, w; clips have w first.
    attitude = rows[:, [3, 0, 1, 2]]
    joints = rows[:, len(TRUNK) : -len(COMMAND)]
    clip = Clip(f"the log {closest.name}", joints, attitude, commands[nearest], loops=True)
    return ClipTable([clip], body, subject.task.dt)


def _actions(subject: PolicySubject) -> str:
    """Return charts of the actions of one episode, or on held-out logs, with their limits."""
    policy = subject.policy
    actions = np.zeros((0, len(policy.actions)))
    if subject.trials and subject.trials.model.episodes:
        recorded = subject.trials.model.episodes[0]
        actions = recorded.actions.reshape(len(recorded.rewards), -1).astype(np.float64)
    elif subject.held_out:
        first = subject.held_out.episodes[0]
        actions = subject.held_out.actions[first.start : first.stop].astype(np.float64)
    if not len(actions):
        return ""
    rows = list[tuple[str, str, list[str]]]()
    charts = list[Chart]()
    for index, name in enumerate(policy.actions):
        unit = policy.units[name]
        limits = policy.limits.get(name, (-np.inf, np.inf))
        values = actions[:, index]
        choices = policy.interface.choices[index]
        text = _choice_row(values, choices) if choices else _value_row(values, *limits)
        rows.append((name, unit, text))
        if index < MOST:
            values = values[: CHOICES if choices else STEPS]
            time = np.arange(len(values)) * np.float64(subject.trained.dt)
            lines = [
                Line("limit", "limit", time, np.full(len(time), end))
                for end in limits
                if np.isfinite(end)
            ]
            lines.append(Line(name, "model", time, values, staircase=True))
            labels = ("time, s", axis_label(name, unit))
            charts.append((name, unit, line_chart(lines, labels=labels)))
    return render("policies/verification/actions.html.j2", actions=rows, charts=charts)


def _value_row(values: Floats, low: float, high: float) -> list[str]:
    share = float(np.mean((values <= low) | (values >= high)))
    span = f"{number(float(values.min()))} to {number(float(values.max()))}"
    return [span, f"{number(low)} to {number(high)}", f"{share:.0%}"]


def _choice_row(values: Floats, choices: int) -> list[str]:
    """Return the share of each choice, the most frequent first."""
    shares = np.bincount(values.astype(int), minlength=choices) / len(values)
    order = [int(choice) for choice in np.argsort(-shares)[:4] if shares[choice]]
    return [
        ", ".join(f"{choice}: {shares[choice]:.0%}" for choice in order),
        f"0 to {choices - 1}",
        "–",
    ]


def errors_section(held_out: HeldOut, where: str) -> str:
    """Return the table of errors of actions, and charts of the first episode."""
    model = held_out.errors["model"]
    return render(
        "policies/verification/errors.html.j2",
        where=where,
        evidence=samples(model.effective_n, model.unit) if has_interval(model) else "",
        errors=error_table(held_out.errors, model.units, "Action"),
        charts=_error_charts(held_out),
    )


def _error_charts(held_out: HeldOut) -> list[Chart]:
    """Draw the logged actions and those of the policy in the first test episode."""
    model = held_out.errors["model"]
    first = held_out.episodes[0]
    rows = slice(first.start, min(first.stop, first.start + STEPS))
    time = np.arange(rows.stop - rows.start) * np.float64(model.dt)
    charts = list[Chart]()
    for index, name in enumerate(model.channels[:MOST]):
        parts = {"truth": held_out.logged, "model": held_out.actions}
        lines = [
            Line(style, style, time, part[rows, index].astype(np.float64), staircase=True)
            for style, part in parts.items()
        ]
        labels = ("time, s", axis_label(name, model.units[index]))
        charts.append((name, model.units[index], line_chart(lines, labels=labels)))
    return charts
