"""Section `training`: windows per second, and the share of time in kernels.

The limits of the GPU are measured first: copies within its memory, and products of large matrices.
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks._gpu_cases import GRU, MLP, TRANSFORMER, Run, begin, pendulums, task_of
from benchmarks._gpu_rows import Bench, NotRun, wait


@dataclass(frozen=True)
class Mode:
    """How the steps of a training are made.

    Attributes:
        settings: of `learn`.
        waits: whether every step waits for the device, as on a CPU; None: as the settings say.
    """

    settings: dict[str, Any]
    waits: bool | None = False


DIRECT, GRAPH = {"cuda_graph": "off"}, {"cuda_graph": "on"}
MODES = {
    "every step waits": Mode(DIRECT, waits=True),
    "without waiting": Mode(DIRECT),
    "CUDA graph": Mode(GRAPH),
    "CUDA graph, AMP bf16": Mode(GRAPH | {"amp": "bf16"}),
    "CUDA graph, TF32": Mode(GRAPH | {"matmul": "high"}),
    "CUDA graph, compiled": Mode(GRAPH | {"compile": "on"}),
    "CUDA graph, compiled, TF32": Mode(GRAPH | {"compile": "on", "matmul": "high"}),
}
COMPILED = "MLP 3x64"  # compiling a recurrent model takes a minute
PROFILED = 24  # steps


def measure(bench: Bench) -> None:
    """Measure the limits of the card, then each model, batch and mode."""
    measure_card(bench)
    data = pendulums(*bench.size((1024, 512), (4, 60)))
    large = bench.size(16_384, 64)
    reference = _cpu_reference(bench, data)
    _model(bench, data, COMPILED, {"model": MLP}, (256, large), reference)
    recurrent = {"model": GRU, "history": 11, "horizon": 9}
    attentive = {"model": TRANSFORMER, "history": 16}
    if bench.is_toy:
        recurrent |= {"model": GRU | {"hidden_size": 8}, "horizon": 2}
        attentive["model"] = TRANSFORMER | {"size": 8, "layers": 1}
    _model(bench, data, "GRU 128", recurrent, (large,), None)
    _model(bench, data, "transformer 4x128", attentive, (large,), None)


def measure_card(bench: Bench) -> None:
    """Report what the device reaches: bytes/s of a copy, FLOP/s of matrix products."""
    with bench.case("copy within the memory"):
        source = torch.empty(bench.size(2**30, 2**16), dtype=torch.float32, device=bench.device)
        target = torch.empty_like(source)
        seconds = bench.seconds_of(partial(target.copy_, source), 0.5)
        rate = 2 * source.nbytes / seconds
        bench.row("copy within the memory", rate / 1e12, "TB/s, read and written")
        source = target = None  # 8 GiB that the cases below need
    for name, dtype, precision in (
        ("bf16", torch.bfloat16, "highest"),
        ("float32", torch.float32, "highest"),
        ("TF32", torch.float32, "high"),
    ):
        with bench.case(f"matrix product, {name}"):
            size = bench.size(8192, 64)
            one = torch.randn(size, size, device=bench.device, dtype=dtype)
            torch.set_float32_matmul_precision(precision)
            seconds = bench.seconds_of(lambda one=one: one @ one, 0.5)
            torch.set_float32_matmul_precision("highest")
            bench.row(f"matrix product, {name}", 2e-12 * size**3 / seconds, "TFLOP/s")


def _cpu_reference(bench: Bench, data: Any) -> float | None:
    """Return the windows a second of MLP 3x64 at batch 256 on this machine's CPU, one thread."""
    reference = None
    with bench.case("MLP 3x64, batch 256, CPU, eager"):
        size = min(256, bench.size(256, 64))
        run = begin(data, torch.device("cpu"), task_of(model=MLP, batch_size=size, device="cpu"))
        seconds = bench.seconds_of(run, 2.0, torch.device("cpu"))
        reference = size / seconds
        bench.row("MLP 3x64, batch 256, CPU, eager", reference, "windows/s")
    return reference


def _model(
    bench: Bench,
    data: Any,
    name: str,
    settings: dict[str, Any],
    sizes: tuple[int, ...],
    reference: float | None,
) -> None:
    """Measure one model in every mode.

    Args:
        bench: where rows go.
        data: to learn from.
        name: of the model.
        settings: of `learn`.
        sizes: of batches; the share of kernels is measured at the last.
        reference: windows a second of the first size on the CPU; None: not compared.
    """
    fastest = 0.0
    for batch in sizes:
        for mode, how in MODES.items():
            if how.settings.get("compile") == "on" and name != COMPILED:
                continue
            work = f"{name}, batch {batch}, {mode}"
            with bench.case(work):
                batch_size = min(batch, bench.size(batch, 64))
                task = task_of(batch_size=batch_size, **settings, **how.settings)
                run = begin(data, bench.device, task, waits=how.waits)
                run.warm_up()
                rate = batch_size / bench.seconds_of(run, 0.5)
                is_compared = reference is not None and batch == sizes[0]
                note = f"{rate / reference:.3g} x CPU" if is_compared else ""
                fastest = max(fastest, rate) if is_compared else fastest
                bench.row(work, rate, "windows/s", note=note)
                if batch == sizes[-1]:
                    share = kernel_share(run, bench.device)
                    has_goal = task.learn.cuda_graph == "on" and not bench.is_toy
                    bench.row(
                        f"{work}: time in kernels",
                        share,
                        "share",
                        goal="at least 0.5, in a CUDA graph",
                        is_reached=share >= 0.5 if has_goal else None,
                    )
    if reference is not None:
        ratio, work = fastest / reference, f"{name}, batch {sizes[0]}, fastest against the CPU"
        is_reached = None if bench.is_toy else ratio >= 20
        bench.row(work, ratio, "times", goal="at least 20", is_reached=is_reached)


def kernel_share(run: Run, device: torch.device) -> float:
    """Return the time in kernels over the time of PROFILED steps, by torch's profiler.

    On a CPU it is the time within operations.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    seconds = _seconds(run, device)  # without the profiler, which slows the host down
    with profile(activities=activities, acc_events=True) as profiler:
        _seconds(run, device)
    spent = kernel_time(profiler.events(), on_gpu=on_gpu)
    if on_gpu and not spent:
        message = "the profiler saw no kernel: CUPTI is missing or not permitted"
        raise NotRun(message)
    return spent * 1e-6 / seconds


def kernel_time(events: Any, *, on_gpu: bool) -> float:
    """Return the time in kernels, us; the host's events repeat that of kernels they launched."""
    if not on_gpu:
        return sum(event.self_cpu_time_total for event in events)
    kernels = [event for event in events if event.device_type == DeviceType.CUDA]
    copies, notes = ("Memcpy", "Memset"), "is_user_annotation"
    return sum(
        event.self_device_time_total
        for event in kernels
        if not event.name.startswith(copies) and not getattr(event, notes, False)
    )


def _seconds(run: Run, device: torch.device) -> float:
    run.steps.collect()  # else the first group is a part of one
    began = time.perf_counter()
    for _ in range(PROFILED):
        run()
    wait(device)
    return time.perf_counter() - began
