"""Message topics of a log: all of them, also those without numbers, such as images and texts."""

from pathlib import Path
from typing import Any

from kinemill.errors import BadLog


def message_topics(log: Path, form: str) -> list[str]:
    """Return the topics of an MCAP file or a ROS bag, sorted; [] for other formats.

    Raises:
        BadLog: the file does not list its topics.
    """
    if form == "mcap":
        return _of_mcap(log)
    return _of_bag(log) if form == "rosbag" else []


def _of_mcap(log: Path) -> list[str]:
    from mcap.exceptions import McapError
    from mcap.reader import make_reader

    with log.open("rb") as file:
        try:
            summary = make_reader(file).get_summary()
        except (McapError, ValueError, OSError) as error:
            raise _unlisted(log, error) from error
    if summary is None:
        raise _unlisted(log, "no summary")
    return sorted({channel.topic for channel in summary.channels.values()})


def _of_bag(log: Path) -> list[str]:
    from rosbags.rosbag1 import Reader as Ros1
    from rosbags.rosbag1 import ReaderError as Error1
    from rosbags.rosbag2 import Reader as Ros2
    from rosbags.rosbag2 import ReaderError as Error2

    bag: Any = Ros1(log) if log.suffix == ".bag" else Ros2(log)
    try:
        with bag:
            return sorted({connection.topic for connection in bag.connections})
    except (Error1, Error2, ValueError, OSError) as error:
        raise _unlisted(log, error) from error


def _unlisted(log: Path, error: object) -> BadLog:
    return BadLog(
        log,
        f"does not list its topics ({error})",
        expected="a whole file, because images and texts are found by topic",
        fix="put another demonstration first, or record this one again",
    )
