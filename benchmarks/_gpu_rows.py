"""Rows of `benchmarks.gpu`: each case is reported once measured, and fails alone."""

import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

Status = Literal["measured", "passed", "failed", "not run"]


class NotRun(Exception):
    """A case cannot run here; the message says what is missing."""


@dataclass(frozen=True)
class Bench:
    """Device, size and report of one section.

    Attributes:
        rows: report of all sections.
        is_toy: whether sizes are those of a test on the CPU.
        ends: `time.monotonic()` at which the section is stopped, s.
    """

    section: str
    rows: list[dict[str, Any]]
    is_toy: bool
    ends: float

    @property
    def device(self) -> Any:
        """The torch device that is measured."""
        import torch

        return torch.device("cpu" if self.is_toy else "cuda")

    def size(self, full: Any, toy: Any) -> Any:
        """Return `full` on a GPU, else `toy`."""
        return toy if self.is_toy else full

    def seconds_of(
        self, call: Callable[[], object], at_least: float, device: Any | None = None
    ) -> float:
        """Return the seconds of one call, the mean over calls that take `at_least` s together.

        Args:
            call: what is timed; it is called once before, to warm up.
            at_least: s; at toy size three calls suffice.
            device: what is waited for; None: the device that is measured.
        """
        device = self.device if device is None else device
        call()
        wait(device)
        began, calls = time.perf_counter(), 0
        while not self.is_toy or calls < 3:
            call()
            calls += 1
            if calls & (calls - 1) == 0:  # look rarely: waiting for a GPU stops its queue
                wait(device)
                if time.perf_counter() - began >= at_least:
                    break
        wait(device)
        return (time.perf_counter() - began) / calls

    def row(
        self,
        work: str,
        value: float | None,
        unit: str,
        *,
        goal: str = "",
        is_reached: bool | None = None,
        note: str = "",
    ) -> None:
        """Append a row.

        Args:
            work: what was measured.
            value: the figure, or None where a case has none.
            unit: of the value.
            goal: what is expected, as text.
            is_reached: whether the goal is reached; None: a figure without a goal. The toy size
                proves that the code runs, so that no goal of speed applies there.
            note: details.
        """
        status = "measured" if is_reached is None else "passed" if is_reached else "failed"
        self._write(work, status, value=value, unit=unit, goal=goal, note=note)

    @contextmanager
    def case(self, work: str) -> Generator[None]:
        """Report an exception inside as a row, and go on."""
        if time.monotonic() >= self.ends:
            self._write(work, "not run", note="the time of this section was over")
            raise SectionOver
        try:
            yield
        except NotRun as reason:
            self._write(work, "not run", note=str(reason))
        except Exception as error:  # noqa: BLE001 - any failure is a row, not the end
            traceback.print_exc()
            lines = str(error).strip().splitlines() or [""]
            self._write(work, "failed", note=f"{type(error).__name__}: {lines[0]}"[:300])

    def _write(self, work: str, status: Status, **more: object) -> None:
        self.rows.append({"section": self.section, "work": work, "status": status, **more})
        remaining = self.ends - time.monotonic()
        line = f"{self.section}: {work}: {status} {more}, {remaining:.0f} s left"
        print(line, file=sys.stderr, flush=True)


class SectionOver(Exception):
    """The time of the section is over; rows written so far stay."""


def require(*modules: str) -> None:
    """Pass if all modules are installed.

    Raises:
        NotRun: One is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        message = f"not installed: {', '.join(missing)}"
        raise NotRun(message)


def wait(device: Any) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
