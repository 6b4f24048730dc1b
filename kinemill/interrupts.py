"""Ctrl-C and SIGTERM: one exception where the signal arrives, one line and exit code 128 + N.

The command installs `SIGNALS` before it imports anything heavy. Libraries replace signal handlers
(Dagster does for each run), so the number of the signal comes from `signal.set_wakeup_fd`, which
records every signal whatever its handler is.
"""

import contextlib
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from kinemill.errors import causes

_NAMES = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    signal.SIGHUP: "SIGHUP, as the terminal was closed",
}
_KEPT = "complete results are kept, no partial one is published"
_SHOW_CURSOR = "\x1b[?25h"
_AGAIN = 0.05  # s until a signal that Python could not raise is sent again


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end.

    Args:
        kept: what the work so far leaves behind, and how to resume; None: the general words.
    """

    def __init__(self, kept: str | None = None) -> None:
        super().__init__(kept or "")
        self.kept = kept


class Signals:
    """The signals that ask this process to end, from `install` on."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._sent: socket.socket | None = None
        self._terminal: Any = None

    def install(self) -> None:
        """Raise `Interrupted` in the main thread at the first signal and at each further one."""
        self._sent, written = socket.socketpair()
        self._sent.setblocking(False)
        written.setblocking(False)
        signal.set_wakeup_fd(written.detach(), warn_on_full_buffer=False)
        for number in _NAMES:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and background jobs ignore some
                signal.signal(number, self._raise)
        sys.unraisablehook = self._unraisable
        self._terminal = _terminal_settings()

    @property
    def received(self) -> int | None:
        """The number of the first signal that asked this process to end, or None."""
        while self._sent is not None and self._number is None:
            try:
                numbers = self._sent.recv(1)
            except BlockingIOError:
                break
            if numbers and numbers[0] in _NAMES:
                self._number = numbers[0]
        return self._number

    def end(self, error: BaseException) -> int:
        """Report in one line what is kept, restore the terminal, return the exit code.

        From here on a further signal ends the process immediately.

        Args:
            error: what the signal made of the command; a `kept` in its chain is reported.
        """
        number = self.received or signal.SIGINT
        for one in _NAMES:
            signal.signal(one, lambda *_: os._exit(128 + number))
        _restore(self._terminal)
        said = [one.kept for one in causes(error) if isinstance(one, Interrupted) and one.kept]
        kept = said[0] if said else None
        begin = "\n" if number == signal.SIGINT and sys.stderr.isatty() else ""  # after the ^C
        name, text = _NAMES[signal.Signals(number)], kept or f"{_KEPT}; {resume()}"
        with contextlib.suppress(OSError):  # the terminal may be gone
            sys.stderr.write(f"{begin}stopped by {name}: {text}\n")
            sys.stderr.flush()
        return 128 + number

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        self._number = self._number or number
        raise Interrupted

    def _unraisable(self, found: Any) -> None:
        """Send a signal again whose exception Python dropped, for example in a destructor."""
        if self.received is None or not _is_interruption(found.exc_value):
            sys.__unraisablehook__(found)
            return
        again = threading.Timer(_AGAIN, os.kill, (os.getpid(), self._number))
        again.daemon = True
        again.start()


SIGNALS = Signals()


def resume() -> str:
    """Return the words that name the command which was typed, to run it again."""
    return f"to continue, run: {shlex.join(['kinemill', *sys.argv[1:]])}"


@contextmanager
def message_on_interrupt(words: Callable[[], str]) -> Generator[None]:
    """Say what is kept where a signal ends the work within.

    Args:
        words: called when that happens; the innermost ones count.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted) and error.kept:
            raise
        raise Interrupted(words()) from error


def is_interruption(error: BaseException) -> bool:
    """Tell whether a command ended in an error because a signal asked for it."""
    if isinstance(error, SystemExit):  # Typer's, of a KeyboardInterrupt
        return any(isinstance(one, KeyboardInterrupt) for one in causes(error))
    return SIGNALS.received is not None


def _is_interruption(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception | SystemExit)


def _terminal_settings() -> Any:
    try:
        import termios

        return termios.tcgetattr(sys.stdin)
    except Exception:  # noqa: BLE001 - no terminal, or no stdin at all
        return None


def _restore(settings: Any) -> None:
    """Give the terminal its echo and its cursor back."""
    if settings is not None:
        import termios

        with contextlib.suppress(termios.error, OSError):
            if os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():  # in the background it would stop
                termios.tcsetattr(sys.stdin, termios.TCSANOW, settings)
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
