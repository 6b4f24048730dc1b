"""Errors of failed runs."""

from dagster_shared.error import SerializableErrorInfo


def reason(error: SerializableErrorInfo) -> str:
    """Return the original error, without the errors that wrap it."""
    failure = error
    while failure.cause is not None and not failure.message.startswith("kinemill."):
        failure = failure.cause
    return failure.message.strip()
