"""Ctrl-C and SIGTERM: one exception where the signal arrives, one line and exit code 128 + N.

The command installs `SIGNALS` before it imports anything heavy. Libraries replace signal handlers
(Dagster does for each run), so the number of the signal comes from `signal.set_wakeup_fd`, which
records every signal independently of its handler.
"""

import contextlib
import os
import shlex
import signal
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
    signal.SIGHUP: "SIGHUP, because the terminal was closed",
}
_KEPT_MESSAGE = "complete results are kept, no partial one is published"
_SHOW_CURSOR = "\x1b[?25h"
_AGAIN = 0.05  # s until a signal that Python dropped is sent again


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end.

    Args:
        kept_message: message on what is kept, and how to resume; None: the default message.
    """

    def __init__(self, kept_message: str | None = None) -> None:
        super().__init__(kept_message or "")
        self.kept_message = kept_message


class Signals:
    """The termination signals of this process, from `install` on."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._numbers: int | None = None  # read end of the pipe that signal numbers go to
        self._terminal: Any = None

    def install(self) -> None:
        """Raise `Interrupted` in the main thread at the first signal and at each further one."""
        self._numbers, written = os.pipe()
        os.set_blocking(self._numbers, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in _NAMES:
            # nohup and background jobs ignore some signals
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._raise)
        sys.unraisablehook = self._unraisable
        self._terminal = _terminal_settings()

    @property
    def received(self) -> int | None:
        """The number of the first termination signal, or None."""
        while self._numbers is not None and self._number is None:
            try:
                numbers = os.read(self._numbers, 1)
            except BlockingIOError:
                break
            if numbers and numbers[0] in _NAMES:
                self._number = numbers[0]
        return self._number

    def end(self, error: BaseException) -> int:
        """Report in one line what is kept, restore the terminal, return the exit code.

        After this call a further signal ends the process immediately. A `kept_message` in the chain
        of the error is reported.
        """
        number = self.received or signal.SIGINT
        for one in _NAMES:
            signal.signal(one, lambda *_: os._exit(128 + number))
        _restore(self._terminal)
        messages = [
            cause.kept_message
            for cause in causes(error)
            if isinstance(cause, Interrupted) and cause.kept_message
        ]
        kept_message = messages[0] if messages else None
        begin = "\n" if number == signal.SIGINT and sys.stderr.isatty() else ""  # after the ^C
        name = _NAMES[signal.Signals(number)]
        text = kept_message or f"{_KEPT_MESSAGE}; {resume()}"
        with contextlib.suppress(OSError):  # the terminal may be gone
            sys.stderr.write(f"{begin}stopped by {name}: {text}\n")
            sys.stderr.flush()
        return 128 + number

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        self._number = self._number or number
        raise Interrupted

    def _unraisable(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Send a signal again whose exception Python dropped, for example in a destructor."""
        if self.received is None or not _is_interruption(unraisable.exc_value):
            sys.__unraisablehook__(unraisable)
            return
        again = threading.Timer(_AGAIN, os.kill, (os.getpid(), self._number))
        again.daemon = True
        again.start()


SIGNALS = Signals()


def resume() -> str:
    """Return the hint that repeats the current command line."""
    return f"to continue, run: {shlex.join(['kinemill', *sys.argv[1:]])}"


@contextmanager
def message_on_interrupt(message: Callable[[], str]) -> Generator[None]:
    """Report what is kept if a signal interrupts the block.

    The innermost `message` is used.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted) and error.kept_message:
            raise
        raise Interrupted(message()) from error


def is_interruption(error: BaseException) -> bool:
    """Return whether an error of a command was caused by a signal."""
    if isinstance(error, SystemExit):  # Typer converts a KeyboardInterrupt to it
        return any(isinstance(cause, KeyboardInterrupt) for cause in causes(error))
    return SIGNALS.received is not None


def _is_interruption(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception | SystemExit)


def _terminal_settings() -> list[object] | None:
    try:
        import termios

        return termios.tcgetattr(sys.stdin)
    except Exception:  # noqa: BLE001 - no terminal, or no stdin at all
        return None


def _restore(settings: Any) -> None:
    """Restore the echo and the cursor of the terminal."""
    if settings is not None:
        import termios

        with contextlib.suppress(termios.error, OSError):
            # a background process would be stopped here
            if os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
                termios.tcsetattr(sys.stdin, termios.TCSANOW, settings)
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
