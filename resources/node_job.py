"""Actor on a node of a Ray cluster that starts, polls and ends a process.

The process ends with this actor, and the actor ends with its node or its requester.
"""

import os
import socket
import subprocess
import tempfile
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_MESSAGES_ENV_VAR, encode_param

from kinemill.process import end, exit_with_parent
from kinemill_dagster.resources.processes import last_output, start_module, whole_lines


class Node:
    """A process on the node of this actor; all methods run in one thread."""

    def __init__(self) -> None:
        # Workers of Ray outlive their raylet, and would run in parallel with their replacements.
        exit_with_parent(os.getppid())
        self._folder = tempfile.TemporaryDirectory(prefix="kinemill-")
        self._messages = Path(self._folder.name) / "messages"
        self._log = Path(self._folder.name) / "log"
        self._read = 0
        self._child: subprocess.Popen[bytes] | None = None

    def address(self) -> tuple[str, int]:
        """Return this node's address and a free port."""
        import ray

        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), probe.getsockname()[1]

    def start(self, environment: dict[str, str]) -> str:
        """Start the job in the environment; return the address of the node."""
        self._messages.touch()
        where = {DAGSTER_PIPES_MESSAGES_ENV_VAR: encode_param({"path": str(self._messages)})}
        with self._log.open("wb") as log:
            self._child = start_module(
                ["kinemill_dagster.resources.remote_job"], log, environment | where
            )
        return f"{socket.gethostname()} (process {self._child.pid})"

    def look(self) -> tuple[list[str], int | None]:
        """Return new messages, and the exit code after the process ended."""
        code = (
            self._child.poll() if self._child else None
        )  # before reading, so that no output is missed
        lines, self._read = whole_lines(self._messages, self._read)
        return lines, code

    def last_output(self) -> str:
        """Return the last lines of the output of the process."""
        return last_output(self._log)

    def stop(self) -> None:
        """End the process."""
        if self._child:
            end(self._child)
