"""Extras of kinemill: the one that installs a missing package, and those that are installed.

They are read from the metadata of the distribution, so `pyproject.toml` alone lists them.
"""

import re
from importlib import metadata, util

from kinemill.errors import BadInput


class MissingPackage(BadInput):
    """A package is not installed; the message names the extra that installs it."""


_DISTRIBUTIONS = {  # by module, where the names differ
    "graphql": "graphql-core",
    "psycopg2": "psycopg2-binary",
    "pygame": "pygame-ce",
}
_REQUIREMENT = re.compile(r"([\w.-]+).*\bextra == ['\"]([\w-]+)['\"]")
_SHARED = {"mill": "cpu"}  # an extra that is a part of others, and the one that users install


def extras() -> dict[str, set[str]]:
    """Return the distributions of each extra, lower case; empty if kinemill is not installed."""
    members: dict[str, set[str]] = {}
    try:
        requirements = metadata.requires("kinemill") or []
    except metadata.PackageNotFoundError:  # a checkout on PYTHONPATH
        return members
    for match in filter(None, map(_REQUIREMENT.match, requirements)):
        members.setdefault(match[2], set()).add(match[1].lower())
    return members


def has_extra(name: str) -> bool:
    """Return whether all distributions of an extra are installed."""
    return all(installed(distribution) for distribution in extras().get(name, {name}))


def installed(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def missing_package(error: ModuleNotFoundError, needed_by: str = "") -> MissingPackage | None:
    """Return the error of a missing package, with the extra of kinemill that installs it.

    Args:
        error: the failed import; None is returned for a module of kinemill, which is a bug.
        needed_by: what needs the package.
    """
    module = (error.name or "kinemill").partition(".")[0]
    if module.startswith("kinemill"):
        return None
    where = needed_by or f"module {module!r}"
    problem = f"needs {module!r}, which is not installed" if needed_by else "is not installed"
    distribution = _DISTRIBUTIONS.get(module, module.lower().replace("_", "-"))
    sizes = {name: len(group) for name, group in extras().items() if distribution in group}
    if not sizes:
        return MissingPackage(where, problem, fix="install the package that provides it")
    smallest = min(sizes, key=lambda name: sizes[name])
    extra = _SHARED.get(smallest, smallest)
    return MissingPackage(
        where, problem, expected=f"the extra {extra!r}", fix=f"pip install 'kinemill[{extra}]'"
    )


def require_package(module: str, needed_by: str) -> None:
    """Raise the error of a missing package, without importing it.

    Raises:
        MissingPackage: It is not installed.
    """
    if util.find_spec(module) is None and (
        error := missing_package(ModuleNotFoundError(name=module), needed_by)
    ):
        raise error
