"""A command on a terminal of its own, whose keys are Ctrl-C and the like."""

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CTRL_C = b"\x03"


@dataclass
class Terminal:
    """A process that leads the session of a new terminal, and what it has written there."""

    pid: int
    screen: int
    text: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), repr=False
    )

    @classmethod
    def start(
        cls,
        *arguments: str,
        program: str = sys.executable,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        columns: int = 0,
    ) -> "Terminal":
        """Run a program, by default Python; a terminal of 0 columns does not state its width."""
        pid, screen = pty.fork()
        if pid == 0:
            os.chdir(folder or ".")
            os.execvpe(program, [program, *arguments], environment or os.environ)
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        return cls(pid, screen)

    def read_until(self, words: str, within: float = 120.0) -> None:
        """Read until the process has written some words."""
        deadline = time.monotonic() + within
        while words not in self.text:
            assert time.monotonic() < deadline, f"no {words!r} in {self.text!r}"
            assert self._read(), f"ended without {words!r}: {self.text!r}"

    def press(self, keys: bytes) -> None:
        """Press keys; Ctrl-C reaches every process in the foreground."""
        os.write(self.screen, keys)

    def family(self) -> list[psutil.Process]:
        """Return the processes that grew from it."""
        return psutil.Process(self.pid).children(recursive=True)

    def wait(self, within: float = 60.0) -> int:
        """Read to the end; return the exit code, as a shell tells it."""
        deadline = time.monotonic() + within
        while self._read():
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return code if code >= 0 else 128 - code

    def _read(self) -> bool:
        if not select.select([self.screen], [], [], 1.0)[0]:
            return True
        try:
            result = os.read(self.screen, 65536)
        except OSError:  # Linux's way to say that nobody holds the other end
            return False
        self.text += self._decoder.decode(result)
        return bool(result)
