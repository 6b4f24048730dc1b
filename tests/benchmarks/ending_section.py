"""A section of `benchmarks.gpu` whose process ends in its second case."""

import os
import sys

from benchmarks._gpu_rows import Bench


def measure(bench: Bench) -> None:
    with bench.case("works"):
        bench.row("works", 1.0, "s")
    with bench.case("ends"):
        sys.stdout.write("the driver is gone\n")
        sys.stdout.flush()
        os._exit(3)
