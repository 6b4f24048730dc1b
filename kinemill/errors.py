"""Base classes of all errors: where, what was found, what was expected and how to fix it."""

import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path


class KinemillError(Exception):
    """An error that the user has to act on.

    Args:
        where: file, row, channel or setting at fault.
        found: what was found there.
        expected: what was expected instead.
        fix: what to do about it.
    """

    exit_code = 3
    # The result of a run that ended in this error, as `--json` prints it.
    document: dict[str, object] | None = None

    def __init__(
        self, where: object, problem: str, *, expected: str | None = None, fix: str | None = None
    ) -> None:
        self.where = str(where)
        self.problem = problem
        self.expected = expected
        self.fix = fix
        parts = [f"{where}: {problem}"]
        if expected:
            parts.append(f"expected {expected}")
        if fix:
            parts.append(fix)
        super().__init__("; ".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the error with its attributes, whatever the constructor of a subclass takes."""
        return _again, (type(self), self.args, self.__dict__)


class BadInput(KinemillError):
    """A command, setting or argument is invalid."""

    exit_code = 2


class TaskError(BadInput):
    """A task file is invalid; every problem is listed.

    Args:
        problems: each with its file, line and key.
        fields: dotted key and message of each problem, for forms; empty if no key is at fault.
    """

    def __init__(self, problems: list[str], fields: Sequence[tuple[str, str]] = ()) -> None:
        self.problems, self.fields = problems, list(fields)
        Exception.__init__(self, "\n".join(problems))


class BadLog(BadInput):
    """A raw log, or a part of it, cannot be read as the task describes it."""


class Blocked(KinemillError):
    """A blocking check rejected the output of a stage; no later stage runs."""

    exit_code = 1


class CorruptArtifact(KinemillError):
    """A stored file no longer matches the digest it was published with."""


class TrainingFailed(KinemillError):
    """Training ended without a usable model."""


class Diverged(TrainingFailed):
    """The loss or gradient of a training is no longer finite; there is no usable model."""

    exit_code = 1


class ProcessLost(KinemillError):
    """A process was killed; another attempt resumes from its last state."""


class Unreachable(KinemillError):
    """A shared database or object store did not respond, or refused the request."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all its causes and contexts."""
    visited = set[int]()
    one: BaseException | None = error
    while one is not None and id(one) not in visited:
        visited.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def join_first(items: Sequence[str], most: int, separator: str = ", ") -> str:
    """Join the first items, and count the others: `a, b and 3 more`."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return separator.join(items[:most]) + more


def spell_failure(error: Exception) -> str:
    """Return an unexpected error on one line, with the place in the code that raised it."""
    first = (str(error).splitlines() or [""])[0][:200]
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first}{at}"


def _again(
    kind: type[KinemillError], args: tuple[object, ...], state: dict[str, object]
) -> KinemillError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
