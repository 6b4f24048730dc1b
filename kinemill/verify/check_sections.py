"""Sections of the report about long rollouts, noise, speed, closed loop and files.

Every value is from verification.json.
"""

from html import escape

from kinemill.reports.charts import number
from kinemill.reports.components import name_of, table
from kinemill.verify.document import Verification


def trial_sections(document: Verification, motion: str = "") -> list[str]:
    """Return the sections as HTML, empty for missing parts; `motion` animates the closed loop."""
    return [
        _stability(document),
        _speed(document),
        _closed_loop(document, motion),
        _files(document),
        _c99(document),
    ]


def _stability(document: Verification) -> str:
    runs = document.stability
    noise = document.sensitivity
    if runs is None or noise is None:
        return ""
    first = runs.first_diverged_step
    text = f"<b>{runs.diverged:.0%}</b> of {runs.rollouts} rollouts of {runs.steps} steps "
    text += f"diverge, the first at step {first}" if first else "diverge"
    rows = [
        [
            name_of(name, line.unit),
            f"{runs.outside[name]:.0%}" if name in runs.outside else "–",
            number(line.change),
            number(line.gain),
        ]
        for name, line in noise.channels.items()
    ]
    return (
        f"<h2>Long rollouts and noise</h2><p>{text}. The table shows the change of the prediction "
        f"{noise.steps} steps ahead by noise of {noise.noise:.0%} of a channel's standard "
        "deviation in all known rows; with a gain of 1 the noise neither grows nor decays.</p>"
        + table(
            ["Channel", "Leave their limits", "Change by noise", "Gain"],
            rows,
            numbers_from=1,
            even=True,
        )
    )


def _speed(document: Verification) -> str:
    times = document.latency_ms
    start_times = document.cold_start
    machine = document.machine
    if start_times is None or machine is None:
        return ""
    heads = ["One call, ms", "p50", "p90", "p99", "p99.9", "jitter"]
    calls = [
        [
            escape(what),
            *map(number, (latency.p50, latency.p90, latency.p99, latency.p99_9, latency.jitter)),
        ]
        for what, latency in times.items()
    ]
    through = [
        [str(line.batch), str(line.threads), f"{line.steps_per_second:,.0f}"]
        for line in document.throughput
    ]
    first = times["rollout"]
    described = escape(
        f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}, "
        f"ONNX Runtime {machine.onnxruntime}"
    )
    start = [
        ["Import of the runtime", f"{start_times.import_ms:.0f} ms"],
        ["Loading", f"{start_times.load_ms:.1f} ms"],
        [
            "First call, second call",
            f"{start_times.first_call_ms:.2f}, {start_times.second_call_ms:.2f} ms",
        ],
        ["Memory of the model", f"{start_times.model_mb:.1f} MB"],
        ["Memory of the process", f"{start_times.process_mb:.0f} MB"],
    ]
    return (
        f"<h2>Speed</h2><p>Batch of one, one thread, the best of {first.blocks} blocks of up to "
        f"{first.calls} calls. Measured on {described}.</p>"
        + table(heads, calls, numbers_from=1, even=True)
        + '<div class="two">'
        + table(["Batch", "Threads", "Steps a second"], through, numbers_from=0)
        + table(["In a new process", ""], start)
        + "</div>"
    )


def _closed_loop(document: Verification, motion: str) -> str:
    loop = document.closed_loop
    if loop is None:
        return ""
    rows = [
        [
            str(episode.seed),
            "yes" if episode.success else "no",
            number(episode.cost),
            str(episode.steps),
            str(episode.refused),
        ]
        for episode in loop.episodes
    ]
    return (
        f"<h2>Closed loop</h2><p>The task's controller plans with this model on the simulated "
        f"{escape(loop.plant)}: {loop.successes} of {len(rows)} episodes succeed, at a "
        f"cost of {number(loop.cost)} (zero actions: {number(loop.idle_cost)}). One action takes "
        f"{number(loop.action_ms)} ms.</p>"
        + table(["Start", "Success", "Cost", "Steps", "Without a plan"], rows, numbers_from=2)
        + motion
    )


def _files(document: Verification) -> str:
    rows = [
        [
            name_of(file.file),
            f"{file.bytes / 1000:,.1f}\u00a0kB",
            f"{file.opset}, {file.ir}",
            f"{file.parameters:,}",
            escape(", ".join(f"{kind} {count}" for kind, count in file.operators.items())),
        ]
        for file in document.files
    ]
    heads = ["File", "Size", "Opset, IR", "Numbers inside", "Operators"]
    return "<h2>Contents of the files</h2>" + table(heads, rows)


def _c99(document: Verification) -> str:
    """Return the section on C code: its memory, and its run time on this machine."""
    facts = document.c99
    if facts is None:
        return ""
    name = "step"
    original = "step.onnx"
    if document.form == "policy":
        name = "policy"
        original = "the trained policy"
    rows = [
        ["Weights, constant", f"{facts.weights:,} bytes"],
        ["Scratch, on the stack", f"{facts.scratch:,} bytes"],
        ["Multiplications", f"{facts.multiplications:,}"],
        [f"Largest difference from {original}", f"{facts.difference:.1e}"],
        ["Latency, p50", f"{number(facts.latency_us.p50)} µs"],
        ["Latency, p99", f"{number(facts.latency_us.p99)} µs"],
        ["Latency, worst", f"{number(facts.latency_us.worst)} µs"],
    ]
    return (
        f"<h2>C99 code</h2><p>{name}.c and {name}.h have no dependencies, allocate no memory and "
        f"bound every loop. They were compiled here and compared with {original}. Latency is that "
        "of one step on the machine above; other processes cause times above the median.</p>"
        + f'<div class="two">{table(["One step", ""], rows)}</div>'
    )
