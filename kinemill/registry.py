"""Registry of a plug-in family: a folder of files as a mapping from name to plug-in.

The file names are the plug-in names. Listing a family therefore imports nothing, and access to one
member imports only its file. Third parties add members through entry points whose group is the
package name (`kinemill.models`, `kinemill.augment`, ...).
"""

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, cached_property
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Generic, TypeVar, cast

from kinemill.errors import BadInput
from kinemill.extras import missing_package

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")


def nearest(name: str, names: list[str]) -> str:
    """Return a hint for an unknown name: `did you mean 'gru'?`, or the list of all names."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(names))}"


def require_known(name: str, names: Collection[str], where: str, problem: str) -> None:
    """Check that a name is one of `names`.

    Raises:
        BadInput: It is not; the fix is the nearest name.
    """
    if name not in names:
        raise BadInput(where, problem, fix=nearest(name, list(names)) if names else None)


@cache
def _installed() -> EntryPoints:
    # `SelectableGroups` of Python 3.11 has the same `select`.
    return cast(EntryPoints, metadata.entry_points())


def entry_points(group: str) -> EntryPoints:
    """Return the entry points of a group; the metadata of all packages are read once a process."""
    return _installed().select(group=group)


class Registry(Mapping[str, T_co], Generic[T_co]):
    """Read-only mapping from plug-in name to plug-in, importing only requested files.

    Args:
        package: dotted name of the folder; its files are the members, except `stage.py` and those
            with a leading underscore.
        what: noun for one member in messages, such as "model".
        usual: the default member, if any.
        modules: members of packages above this one, by name: the dotted name of the module.
        own: `module:Class` that makes a member of own code, `file.py:name`; None: none can be.
    """

    def __init__(
        self,
        package: str,
        what: str,
        usual: str | None = None,
        modules: Mapping[str, str] | None = None,
        own: str | None = None,
    ) -> None:
        self.package = package
        self.what = what
        self.usual = usual
        self.modules = modules or {}
        self.own = own
        self._loaded: dict[str, T_co] = {}

    def register(self, name: str) -> Callable[[U], U]:
        """Register the decorated plug-in under `name`; a duplicate name is an error."""

        def enter(plugin: U) -> U:
            if name in self._loaded:
                raise BadInput(self.package, f"two {self.what} plug-ins are called {name!r}")
            self._loaded[name] = cast(T_co, plugin)
            return plugin

        return enter

    def adapter(self) -> type:
        """Return the class that makes a member of own code.

        Raises:
            BadInput: The family takes none.
        """
        if self.own is None:
            fix = f"name one of {', '.join(self)}, or write a package with an entry point"
            raise BadInput(f"{self.what} of a file", "takes no own code", fix=fix)
        module, _, name = self.own.partition(":")
        return getattr(importlib.import_module(module), name)

    @cached_property
    def _files(self) -> list[str]:
        # Search by path: the import system would import the parent package and its dependencies.
        top, *below = self.package.split(".")
        spec = importlib.util.find_spec(top)
        folders = spec.submodule_search_locations if spec else None
        return sorted(
            file.stem
            for folder in folders or []
            for file in Path(folder).joinpath(*below).glob("*.py")
            if not file.stem.startswith("_") and file.stem != "stage"
        )

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        points: dict[str, EntryPoint] = {}
        for point in entry_points(self.package):
            if point.name in {*points, *self._files, *self.modules}:
                raise BadInput(self.package, f"two {self.what} plug-ins are called {point.name!r}")
            points[point.name] = point
        return points

    def __getitem__(self, name: str) -> T_co:
        """Return the plug-in called `name`, importing its file on first access.

        Raises:
            BadInput: The plug-in is unknown, or its file registers nothing under its own name.
            MissingPackage: The extra that it needs is not installed.
        """
        if name not in self._loaded:
            try:
                self._import(name)
            except ModuleNotFoundError as error:
                if missing := missing_package(error, f"{self.what} {name!r}"):
                    raise missing from error
                raise
        if name not in self._loaded:
            raise BadInput(self.package, f"{name}.py registers no {self.what} called {name!r}")
        return self._loaded[name]

    def _import(self, name: str) -> None:
        """Import the module that registers a member."""
        if name in self._files:
            importlib.import_module(f"{self.package}.{name}")
        elif name in self.modules:
            importlib.import_module(self.modules[name])
        elif name in self._entry_points:
            self._entry_points[name].load()
        else:
            raise BadInput(f"{self.what} {name!r}", "unknown name", fix=nearest(name, list(self)))

    def __contains__(self, name: object) -> bool:
        return any(
            name in names for names in (self._files, self.modules, self._loaded, self._entry_points)
        )

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._files, *self.modules, *self._loaded, *self._entry_points}))

    def __len__(self) -> int:
        return len(list(iter(self)))


class Links(Registry[T_co]):
    """Registry by which a package reaches packages above it; nobody else adds members.

    Args:
        what: noun for one member in messages.
        modules: the dotted name of the module that registers a member, by name.
    """

    def __init__(self, what: str, modules: Mapping[str, str]) -> None:
        super().__init__(what, what, modules=modules)

    @cached_property
    def _files(self) -> list[str]:
        return []

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        return {}
