"""The Dagster project of kinemill under one importable name.

The folders `assets/`, `resources/` and `pipelines/` lie at the top of the repository, and the wheel
holds them in this package. In a checkout the three links beside this file lead to them. Generic
names such as `assets` never become top-level packages, so they cannot hide modules of a user.

`KinemillTask` is the component that defines a task. It is imported on first use: importing the
package itself imports no Dagster.
"""

from typing import Any

__all__ = ["KinemillTask"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kinemill_dagster.pipelines.component import KinemillTask

    return KinemillTask


def __dir__() -> list[str]:
    return [*globals(), *__all__]
