"""Reader of the messages that a training process sends to its run, a line of JSON each."""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter, PipesMessage, PipesParams

from kinemill.task.protocols import Tracker
from kinemill_dagster.resources.processes import whole_lines

_POLL = 0.05  # s


class RecordHandler:
    """A handler of messages that passes the records of a `MessageTracker` to a tracker.

    Args:
        handler: Dagster's handler of all other messages.
        tracker: receives the records.
    """

    def __init__(self, handler: dg.PipesMessageHandler, tracker: Tracker) -> None:
        self._handler = handler
        self._receivers = {
            "log_params": tracker.log_params,
            "log_metrics": tracker.log_metrics,
            "log_text": tracker.log_text,
        }

    def handle_message(self, message: PipesMessage) -> None:
        """Handle a message."""
        if message["method"] == "report_custom_message":
            payload = (message["params"] or {})["payload"]
            self._receivers[payload["record"]](*payload["values"])
        else:
            self._handler.handle_message(message)

    def __getattr__(self, name: str) -> object:
        """Return an attribute of Dagster's handler, which readers use as well."""
        return getattr(self._handler, name)


class WholeLineReader(dg.PipesMessageReader):
    """Reads messages from a file while the child appends to it.

    `PipesFileMessageReader` of Dagster fails at a line of which only the first part is written:
    its thread prints a traceback, and the run shows no progress until it ends.

    Args:
        tracker: receives the records of the child.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Generator[PipesParams]:
        """Pass the messages to their receivers; yield the parameters of the writer.

        The first error of a receiver is raised at the end; other messages are passed on.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "messages"
            path.touch()
            ended = Event()
            failures = list[Exception]()
            records = RecordHandler(handler, self._tracker)

            def read() -> None:
                start = 0
                is_last = False
                while not is_last:
                    is_last = ended.wait(_POLL)
                    lines, start = whole_lines(path, start)
                    for line in lines:
                        try:
                            records.handle_message(json.loads(line))
                        except Exception as error:  # noqa: BLE001 - raised below
                            failures.append(error)

            thread = Thread(target=read, daemon=True)
            thread.start()
            try:
                yield {PipesDefaultMessageWriter.FILE_PATH_KEY: str(path)}
            finally:
                ended.set()
                thread.join()
            if failures:
                raise failures[0]

    def no_messages_debug_text(self) -> str:
        """Return where messages were expected."""
        return "Attempted to read messages from a temporary file."
