"""Sections of the report about long rollouts, noise, speed, closed loop and files.

All values come from verification.json.
"""

from html import escape

from kinemill.reports.charts import number
from kinemill.reports.components import mark, name_of, table
from kinemill.store import Json


def trial_sections(document: Json, motion: str = "") -> list[str]:
    """Return the sections, empty for missing parts; `motion` shows the closed loop, HTML."""
    return [
        _stability(document),
        _speed(document),
        _closed_loop(document, motion),
        _files(document),
        _variants(document),
        _c99(document),
    ]


def _stability(document: Json) -> str:
    runs, noise = document["stability"], document["sensitivity"]
    lost = runs["first_diverged_step"]
    text = f"<b>{runs['diverged']:.0%}</b> of {runs['rollouts']} rollouts of {runs['steps']} steps "
    text += f"diverge, the first at step {lost}" if lost else "diverge"
    rows = [
        [
            name_of(name, line["unit"]),
            f"{runs['outside'][name]:.0%}" if name in runs["outside"] else "–",
            _number(line["change"]),
            _number(line["gain"]),
        ]
        for name, line in noise["channels"].items()
    ]
    return (
        f"<h2>Long rollouts and noise</h2><p>{text}. The table shows the change of the prediction "
        f"{noise['steps']} steps ahead by noise of {noise['noise']:.0%} of a channel's standard "
        "deviation in all known rows; a gain of 1 keeps the noise as it is.</p>"
        + table(
            ["Channel", "Leave their limits", "Change by noise", "Gain"],
            rows,
            numbers_from=1,
            even=True,
        )
    )


def _speed(document: Json) -> str:
    times, cold_start = document["latency_ms"], document["cold_start"]
    heads = ["One call, ms", "p50", "p90", "p99", "p99.9", "jitter"]
    kinds = ("p50", "p90", "p99", "p99_9", "jitter")
    calls = [
        [escape(what), *(_number(line[kind]) for kind in kinds)] for what, line in times.items()
    ]
    through = [
        [str(line["batch"]), str(line["threads"]), f"{line['steps_per_second']:,.0f}"]
        for line in document["throughput"]
    ]
    first = times["rollout"]
    text = document["machine"]
    machine = escape(
        f"{text['processor']}, {text['cores']} cores, {text['system']}, Python {text['python']}, "
        f"ONNX Runtime {text['onnxruntime']}"
    )
    start = [
        ["Import of the runtime", f"{cold_start['import_ms']:.0f} ms"],
        ["Loading", f"{cold_start['load_ms']:.1f} ms"],
        [
            "First call, second call",
            f"{cold_start['first_call_ms']:.2f}, {cold_start['second_call_ms']:.2f} ms",
        ],
        ["Memory of the model", f"{cold_start['model_mb']:.1f} MB"],
        ["Memory of the process", f"{cold_start['process_mb']:.0f} MB"],
    ]
    return (
        f"<h2>Speed</h2><p>Batch of one, one thread; the best of {first['blocks']} blocks of up to "
        f"{first['calls']} calls. Measured on: {machine}.</p>"
        + table(heads, calls, numbers_from=1, even=True)
        + '<div class="two">'
        + table(["Batch", "Threads", "Steps a second"], through, numbers_from=0)
        + table(["In a fresh process", ""], start)
        + "</div>"
    )


def _closed_loop(document: Json, motion: str) -> str:
    looped = document.get("closed_loop")
    if not looped:
        return ""
    rows = [
        [
            str(one["seed"]),
            "yes" if one["success"] else "no",
            _number(one["cost"]),
            str(one["steps"]),
        ]
        for one in looped["episodes"]
    ]
    return (
        f"<h2>Closed loop</h2><p>The task's controller plans with this model on the simulated "
        f"{escape(looped['plant'])}: {looped['successes']} of {len(rows)} episodes succeed, at a "
        f"cost of {_number(looped['cost'])} (doing nothing: {_number(looped['idle_cost'])}); one "
        f"action takes {_number(looped['action_ms'])} ms.</p>"
        + table(["Start", "Success", "Cost", "Steps"], rows, numbers_from=2)
        + motion
    )


def _files(document: Json) -> str:
    files = document["files"]
    rows = [
        [
            name_of(one["file"]),
            f"{one['bytes'] / 1000:,.1f}\u00a0kB",
            f"{one['opset']}, {one['ir']}",
            f"{one['parameters']:,}",
            escape(", ".join(f"{kind} {count}" for kind, count in one["operators"].items())),
        ]
        for one in files
    ]
    heads = ["File", "Size", "Opset, IR", "Numbers inside", "Operators"]
    return "<h2>Contents of the files</h2>" + table(heads, rows)


def _variants(document: Json) -> str:
    """Return what the same model in fewer bits costs, and which was left out for it."""
    variants = document.get("variants")
    if not variants:
        return ""
    rows = [
        [
            mark(one["passed"]),
            name_of(name),
            *(_number(one[key]) for key in ("nrmse", "nrmse_fp32", "allowed")),
            *("–" if one[key] is None else _number(one[key]) for key in ("test", "test_fp32")),
            f"{sum(one['bytes'].values()) / 1000:,.1f}\u00a0kB" if one["bytes"] else "–",
            "published"
            if one["passed"]
            else f"left out: {escape(one['why'] or 'too large an error')}",
        ]
        for name, one in variants.items()
    ]
    heads = ["", "Variant", "nRMSE", "float32", "Allowed", "Test", "float32", "Both files", ""]
    return (
        "<h2>In fewer bits</h2><p>The same model with its layers rounded, measured beside the "
        "original on training windows, which decide, and on the test split.</p>"
        + table(heads, rows)
    )


def _c99(document: Json) -> str:
    """Return what step.c needs of a microcontroller, and how long it took here."""
    made = document.get("c99")
    if not made:
        return ""
    times = made["latency_us"]
    rows = [
        ["Weights, constant", f"{made['weights']:,} bytes"],
        ["Scratch, on the stack", f"{made['scratch']:,} bytes"],
        ["Multiplications", f"{made['multiplications']:,}"],
        ["Largest difference from step.onnx", f"{made['difference']:.1e}"],
        ["Latency, p50", f"{_number(times['p50'])} µs"],
        ["Latency, p99", f"{_number(times['p99'])} µs"],
        ["Latency, worst", f"{_number(times['worst'])} µs"],
    ]
    return (
        "<h2>In C99</h2><p>step.c and step.h: no dependencies, no allocation, every loop bounded; "
        "compiled here and compared with step.onnx. Latency is that of one step on the machine "
        "above; times above the median come from other processes.</p>"
        + f'<div class="two">{table(["One step", ""], rows)}</div>'
    )


def _number(value: float | None) -> str:
    return "not finite" if value is None else number(float(value))
