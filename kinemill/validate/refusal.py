"""The reason why failed checks stop the pipeline, in one line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from kinemill.errors import join_first
from kinemill.validate.check_results import CheckOutcome, is_skipped

_NAMED = 3  # recordings or episodes listed in a refusal


def refusal(blocking: Iterable[CheckOutcome], folder: Path) -> str:
    """Return why the blocking checks of an artifact stop the pipeline; "" if all passed."""
    refused = [result for result in blocking if not result.passed]
    if not refused:
        return ""
    causes = [result for result in refused if not is_skipped(result.values)] or refused
    text = "; ".join(_text(cause) for cause in causes)
    because = next((_because(cause) for cause in causes if cause.values.get("because")), "")
    return f"{because}blocked by {len(causes)} check(s): {text}; all values are in {folder}"


def _text(result: CheckOutcome) -> str:
    """Format a failed check in one line: values, recordings or episodes, and the fix."""
    values = {name: value for name, value in result.values.items() if name != "fix"}
    numbers = [
        f"{name} {value}" for name, value in values.items() if not isinstance(value, list | dict)
    ]
    names = [_name(item) for item in result.values.get("failing") or []]
    named = f" in {join_first(names, _NAMED)}" if names else ""
    fix = f": {result.values['fix']}" if result.values.get("fix") else ""
    return f"{result.name} ({', '.join(numbers) or result.description}){named}{fix}"


def _because(result: CheckOutcome) -> str:
    """Format why logs have no accepted data, which explains the failed checks."""
    reasons: list[str] = result.values["because"]
    more = f"; and {len(reasons) - _NAMED} more; " if len(reasons) > _NAMED else "; "
    return f"no rows of these logs were accepted: {'; '.join(reasons[:_NAMED])}{more}"


def _name(failing: object) -> str:
    """Return the name of a failing episode, recording or record."""
    if not isinstance(failing, Mapping):
        return str(failing)
    record = cast("Mapping[str, object]", failing)
    value = f" ({record['column']} {record['value']})" if "column" in record else ""
    return f"{record.get('recording') or record.get('episode')}{value}"
