"""Checks of arguments, so that a wrong one is an error that names it."""

from pathlib import Path

from kinemill.errors import BadInput


def require(where: str, value: object, kinds: type | tuple[type, ...], expected: str) -> None:
    """Refuse a value of another type.

    Raises:
        BadInput: The value is an instance of none of `kinds`.
    """
    if not isinstance(value, kinds):
        raise BadInput(where, f"is a {type(value).__name__}", expected=expected)


def count_or(where: str, value: int | None, default: int) -> int:
    """Return a count, or the default for None.

    Raises:
        BadInput: The count is less than 1.
    """
    if value is None:
        return default
    if value < 1:
        raise BadInput(where, str(value), expected="1 or more")
    return value


def log_path(data: object) -> Path:
    """Return the path of a log or a folder of logs.

    Raises:
        BadInput: It is no path.
    """
    require("data", data, (str, Path), "frames of from_frames, a log or a folder of logs")
    return Path(str(data)).expanduser().resolve()
