"""A section of `benchmarks.gpu` whose first case fails, and whose last never ends."""

import time

from benchmarks._gpu_rows import Bench, NotRun


def measure(bench: Bench) -> None:
    with bench.case("fails"):
        message = "broken\nin two lines"
        raise ValueError(message)
    with bench.case("is missing"):
        message = "no such card"
        raise NotRun(message)
    with bench.case("works"):
        bench.row("works", 12.5, "Hz", goal="at least 10", is_reached=True)
    with bench.case("hangs"):
        time.sleep(600)
