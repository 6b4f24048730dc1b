"""The one family of errors: each says where, what was found, what was expected and what to do."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class KinemillError(Exception):
    """Something a person has to act on.

    Args:
        where: file, row, channel or setting at fault.
        found: what was found there.
        expected: what was expected instead.
        fix: what to do about it.
    """

    exit_code = 3
    # What a run that ended in this error came to, in the form that `--json` prints.
    document: dict[str, Any] | None = None

    def __init__(
        self, where: object, found: str, *, expected: str | None = None, fix: str | None = None
    ) -> None:
        self.where, self.found, self.expected, self.fix = str(where), found, expected, fix
        parts = [f"{where}: {found}"]
        if expected:
            parts.append(f"expected {expected}")
        if fix:
            parts.append(fix)
        super().__init__("; ".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel from process to process as it is, whatever it was made with."""
        return _again, (type(self), self.args, self.__dict__)


class BadInput(KinemillError):
    """A command, setting or argument that cannot be used as it stands."""

    exit_code = 2


class TaskError(BadInput):
    """A task file that does not say what it must, with every problem listed."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        Exception.__init__(self, "\n".join(problems))


class BadLog(BadInput):
    """A raw log, or a stretch of it, that cannot be read as the task describes it."""


class Blocked(KinemillError):
    """A blocking check refused what a stage produced; nothing was handed on."""

    exit_code = 1


class CorruptArtifact(KinemillError):
    """A stored file whose bytes no longer match the digest they were published with."""


class TrainingFailed(KinemillError):
    """Training ended without a usable model."""


class Diverged(TrainingFailed):
    """A training whose loss or gradient is not finite any more; there is no model to use."""

    exit_code = 1


class ProcessLost(KinemillError):
    """A process was ended from outside; another attempt goes on where it was."""


class Unreachable(KinemillError):
    """A database or object store that machines share did not answer, or refused."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what caused it or what it was raised beside."""
    seen = set[int]()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def spell_failure(error: Exception) -> str:
    """Return an unexpected error on one line, with the place in the code that raised it."""
    first = (str(error).splitlines() or [""])[0][:200]
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first}{at}"


def _again(kind: type[KinemillError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
