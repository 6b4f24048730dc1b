"""Section `search`: 32 concurrent trainings on one GPU, against the same ones in sequence."""

import json
import subprocess
import sys
import time
from typing import Any

import torch

from benchmarks import ROOT
from benchmarks._gpu_cases import MLP, begin, pendulums, task_of
from benchmarks._gpu_rows import Bench, NotRun

TRIALS, PROCESSES = 32, 8
WAYS = {"off": ("", ""), "on": (", CUDA graph", "8 times one after the other")}
MEASURED = 5.0  # s that processes train at the same time
START = 60.0  # s until all of them have begun


def measure(bench: Bench) -> None:
    """Measure trainings one after the other, as one batched program, and in processes."""
    data = pendulums(*bench.size((256, 256), (4, 60)))
    trials = bench.size(TRIALS, 4)
    alone = dict.fromkeys(WAYS, 0.0)
    for graph, (way, goal) in WAYS.items():
        with bench.case(f"one training{way}"):
            alone[graph] = _steps_per_second(bench, data, 1, graph)
            bench.row(f"one training{way}", alone[graph], "steps/s")
        work = f"{trials} trainings as one batched program{way}"
        with bench.case(work):
            combined = trials * _steps_per_second(bench, data, trials, graph)
            _compare(bench, work, combined, (alone[graph], goal))
    work = f"{bench.size(PROCESSES, 2)} trainings in processes on one device"
    with bench.case(work):
        rate = _in_processes(bench, bench.size(PROCESSES, 2))
        _compare(bench, work, rate, (alone["off"], ""))


def _compare(bench: Bench, work: str, rate: float, against: tuple[float, str]) -> None:
    alone, goal = against
    ratio = rate / alone if alone else 0.0
    is_reached = None if bench.is_toy or not goal else ratio >= 8
    note = f"{ratio:.3g} x one after the other"
    bench.row(work, rate, "steps/s, all together", goal=goal, is_reached=is_reached, note=note)


def _steps_per_second(bench: Bench, data: Any, members: int, graph: str) -> float:
    task = task_of(model=MLP, batch_size=256, ensemble=members, cuda_graph=graph)
    run = begin(data, bench.device, task, waits=False)
    run.warm_up()
    return 1.0 / bench.seconds_of(run, 1.5)


def _in_processes(bench: Bench, count: int) -> float:
    """Return the steps a second of processes that train at the same time, summed."""
    arguments = json.dumps({"toy": bench.is_toy, "seconds": bench.size(MEASURED, 0.2)})
    command = [sys.executable, "-m", "benchmarks._gpu_search", arguments]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(count)]
    try:
        for process in started:
            if process.stdout.readline().strip() != "ready":
                message = f"a process did not begin: {process.wait(10)}"
                raise NotRun(message)
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        return sum(float(process.communicate(timeout=START)[0]) for process in started)
    finally:
        for process in started:
            process.kill()
            process.wait()


def train(toy: bool, seconds: float) -> None:
    """Train as one of several processes: warm up, wait for the word, print steps a second."""
    device = torch.device("cpu" if toy else "cuda")
    data = pendulums(*((4, 60) if toy else (256, 256)))
    run = begin(data, device, task_of(model=MLP, batch_size=256, cuda_graph="off"))
    for _ in range(20):
        run()
    print("ready", flush=True)
    sys.stdin.readline()
    began, steps_before = time.perf_counter(), run.done
    while time.perf_counter() - began < seconds:
        run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    print((run.done - steps_before) / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    train(**json.loads(sys.argv[1]))
