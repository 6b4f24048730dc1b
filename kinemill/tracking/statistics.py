"""Messages with statistics: a summary line, and a table below it."""

START = "statistics at step "


def is_statistics(message: str) -> bool:
    """Return whether a message holds statistics of a training."""
    return message.startswith(START)


def text_for(message: str, *, is_terminal: bool) -> str:
    """Return the message for a terminal, else its first line."""
    return message if is_terminal else message.partition("\n")[0]
