"""Settings that decide what the gate measures and how strictly; on the web, promoters set them."""

from collections.abc import Iterator, Mapping
from typing import cast

# What becomes champion, and on which recordings it is measured.
GATE = (
    "promote",
    "verify",
    "validate",
    "dataset",
    "ingest.include",
    "ingest.exclude",
    "environment.trials",
)


def gate_settings(overrides: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of overrides that belong to the gate.

    Keys are dotted, or nested as in a task file. Only mappings that can hold a key of the gate are
    searched, so that nested aliases of YAML are not expanded.
    """
    for key, value in overrides.items():
        name = f"{prefix}{key}"
        if any(_is_below(name, gate) for gate in GATE):
            yield name
        elif any(_is_below(gate, name) for gate in GATE):
            if isinstance(value, Mapping):
                yield from gate_settings(cast(Mapping[str, object], value), f"{name}.")
            else:
                yield name


def _is_below(key: str, part: str) -> bool:
    return f"{key}.".startswith(f"{part}.")
