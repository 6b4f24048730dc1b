"""Progress of a command in this process, on stderr."""

from kinemill.cli.say import news


class Spoken:
    """A Progress that says what is worth reading and keeps the counting to itself."""

    def say(self, message: str) -> None:
        """Tell a person, such as who holds the lock that is waited for."""
        news(message)

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Count in silence; these commands take seconds."""
