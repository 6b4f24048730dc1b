"""Messages of a training process: a line counts when all of it is written."""

import json
from pathlib import Path

import numpy as np
import pytest
from dagster_pipes import PipesFileMessageWriterChannel

from kinemill.task.protocols import NullReporter
from kinemill_dagster.resources.lines import MessageTracker
from kinemill_dagster.resources.message_reader import WholeLineReader
from kinemill_dagster.resources.processes import whole_lines

FIRST = '{"method": "log", "params": {"message": "narx: score 4.5e-05"}}\n'
SECOND = '{"method": "closed", "params": null}\n'


def test_line_that_is_written_in_parts_is_read_as_one(tmp_path):
    path = tmp_path / "messages"
    path.write_text(FIRST + SECOND[:12])
    lines, start = whole_lines(path, 0)
    assert lines == [FIRST]
    for part, expected in ((SECOND[12:20], []), (SECOND[20:], [SECOND])):
        with path.open("a") as file:
            file.write(part)
        lines, start = whole_lines(path, start)
        assert lines == expected
    assert whole_lines(path, start) == ([], path.stat().st_size)


def test_line_without_an_end_is_left_out_when_the_process_has_ended():
    messages = []

    class Handler:
        handle_message = staticmethod(messages.append)

    with WholeLineReader(NullReporter()).read_messages(Handler) as parameters:
        Path(parameters["path"]).write_text(FIRST + SECOND[:12])
    assert [message["method"] for message in messages] == ["log"]


def test_reader_passes_each_message_of_a_file_that_grows():
    messages = []

    class Handler:
        handle_message = staticmethod(messages.append)

    with WholeLineReader(NullReporter()).read_messages(Handler) as parameters:
        path = Path(parameters["path"])
        for part in (FIRST[:30], FIRST[30:], SECOND):
            with path.open("a") as file:
                file.write(part)
    assert [message["method"] for message in messages] == ["log", "closed"]


def test_reader_passes_the_records_of_a_training_to_the_tracker(tmp_path):
    records = []

    class Recorder(NullReporter):
        def log_params(self, params):
            records.append(params)

        def log_metrics(self, metrics, step):
            records.append((metrics, step))

        def log_text(self, name, text):
            records.append((name, text))

    with WholeLineReader(Recorder()).read_messages(None) as parameters:
        channel = PipesFileMessageWriterChannel(parameters["path"])

        class Pipes:
            @staticmethod
            def report_custom_message(payload):
                channel.write_message(
                    {"method": "report_custom_message", "params": {"payload": payload}}
                )

        tracker = MessageTracker(Pipes)
        tracker.log_params({"model": {"type": "mlp"}, "folder": tmp_path})
        tracker.log_metrics({"train/loss": np.float32(0.5), "diverged": np.inf}, 7)
        tracker.log_text("problem", "a line\nand another")
    assert records == [
        {"model": {"type": "mlp"}, "folder": str(tmp_path)},
        ({"train/loss": 0.5, "diverged": np.inf}, 7),
        ("problem", "a line\nand another"),
    ]


def test_record_that_the_tracker_refuses_is_an_error_after_the_other_messages():
    messages = []

    class Handler:
        handle_message = staticmethod(messages.append)

    class Refusing(NullReporter):
        def log_text(self, name, text):
            raise ValueError(f"{name} is too long")

    payload = {"record": "log_text", "values": ["note", "x"]}
    refused = {"method": "report_custom_message", "params": {"payload": payload}}
    with (
        pytest.raises(ValueError, match="note is too long"),
        WholeLineReader(Refusing()).read_messages(Handler) as parameters,
    ):
        Path(parameters["path"]).write_text(f"{json.dumps(refused)}\n{FIRST}{SECOND}")
    assert [message["method"] for message in messages] == ["log", "closed"]
