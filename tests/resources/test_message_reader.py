"""Messages of a training process: a line counts when all of it is written."""

from pathlib import Path

from kinemill_dagster.resources.message_reader import WholeLineReader, whole_lines

FIRST = '{"method": "log", "params": {"message": "narx: score 4.5e-05"}}\n'
SECOND = '{"method": "closed", "params": null}\n'


def test_line_that_is_written_in_parts_is_read_as_one(tmp_path):
    path = tmp_path / "messages"
    path.write_text(FIRST + SECOND[:12])
    rests = [SECOND[12:20], SECOND[20:], ""]

    def write_rest():
        with path.open("a") as file:
            file.write(rests.pop(0))
        return not rests

    assert list(whole_lines(path, write_rest)) == [FIRST.encode(), SECOND.encode()]


def test_line_without_an_end_is_left_out_when_the_process_has_ended(tmp_path):
    path = tmp_path / "messages"
    path.write_text(FIRST + SECOND[:12])
    assert list(whole_lines(path, lambda: True)) == [FIRST.encode()]


def test_reader_passes_each_message_of_a_file_that_grows():
    messages = []

    class Handler:
        handle_message = staticmethod(messages.append)

    with WholeLineReader().read_messages(Handler) as parameters:
        path = Path(parameters["path"])
        for part in (FIRST[:30], FIRST[30:], SECOND):
            with path.open("a") as file:
                file.write(part)
    assert [message["method"] for message in messages] == ["log", "closed"]
