"""`kinemill doctor`: check the machine, print versions."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from kinemill.cli.output import Output, Table
from kinemill.errors import KinemillError, Unreachable
from kinemill.extras import extras, has_extra, installed
from kinemill.failures import as_known_failure
from kinemill.store import Home, database, object_store, ray_cluster
from kinemill.store.disk_space import shortage
from kinemill.store.project import project_root

_NEEDED = [
    "numpy", "onnxruntime", "torch", "onnx", "dagster", "dagster-pipes", "mlflow",
    "great-expectations", "polars", "pydantic", "safetensors",
]  # fmt: skip
_USUAL = ("policies", "server")  # extras of `all`
_MARKS = {True: "ok", False: "MISSING", None: "-"}


@dataclass(frozen=True)
class Finding:
    """Result of one check; `ok` is None for information that needs no fix."""

    name: str
    ok: bool | None
    value: str
    fix: str = ""


def examine() -> list[Finding]:
    """Run all checks, which are independent."""
    with ThreadPoolExecutor() as pool:  # each server may be silent for 5 s
        pending = {name: pool.submit(check) for name, check in _server_checks().items()}
        local = [_python(), *_packages(), _extras(), _gpu(), _compiler(), _project(), *_tasks()]
        servers = [_server(name, result.exception()) for name, result in pending.items()]
    return [*local, *servers, *_home(servers)]


def _server_checks() -> dict[str, Callable[[], None]]:
    """Return a check by name for each server that the environment names."""
    checks: dict[str, tuple[str, Callable[[], None]]] = {
        "database": (database.VARIABLE, database.check_database),
        "object store": (object_store.VARIABLE, object_store.check_store),
        "ray": (ray_cluster.VARIABLE, ray_cluster.check_cluster),
    }
    return {name: check for name, (variable, check) in checks.items() if os.environ.get(variable)}


def _server(name: str, error: BaseException | None) -> Finding:
    return _failed(name, error) if error else Finding(name, ok=True, value="responds")


def _failed(name: str, error: BaseException) -> Finding:
    """Return the finding of a check that raised an error; a bug of kinemill is raised again."""
    failure = as_known_failure(error)
    if failure is None:
        raise error
    return Finding(name, False, f"{failure.where}: {failure.problem}", failure.fix or "")


def _python() -> Finding:
    value = f"{platform.python_version()}, {os.cpu_count()} cores, {platform.system()}"
    return Finding("python", sys.version_info >= (3, 11), value, "needs 3.11 or newer")


def _packages() -> Iterator[Finding]:
    for name in _NEEDED:
        if (number := installed(name)) is not None:
            yield Finding(name, ok=True, value=number)
        else:
            yield Finding(name, False, "not installed", "pip install 'kinemill[cpu]'")


def _extras() -> Finding:
    """Return the extras that are installed, besides those of `kinemill[all]` and for developers."""
    combined = {"all", "cpu", "dev", "docs", "mill"}
    present = sorted(name for name in extras() if name not in combined and has_extra(name))
    missing = [name for name in _USUAL if name not in present]
    fix = f"pip install 'kinemill[{','.join(missing)}]'" if missing else ""
    return Finding("extras", None if missing else True, ", ".join(present) or "none", fix)


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("gpu", None, "unknown without torch")
    if torch.cuda.is_available():
        return Finding("gpu", ok=True, value=torch.cuda.get_device_name(0))
    if torch.backends.mps.is_available():
        return Finding("gpu", ok=True, value="Apple MPS")
    return Finding("gpu", None, "none; training uses the CPU")


def _compiler() -> Finding:
    names = [name for name in ("g++", "clang++", "c++") if shutil.which(name)]
    if names:
        return Finding("compiler", ok=True, value=f"{names[0]}, for learn.compile")
    return Finding("compiler", None, "no C++ compiler; long trainings of small models are slower")


def _project() -> Finding:
    root = project_root()
    fix = "" if root else "kinemill init FOLDER, then work in FOLDER"
    return Finding("project", root is not None, str(root or f"none in {Path.cwd()} or above"), fix)


def _home(servers: list[Finding]) -> Iterator[Finding]:
    try:
        home = Home.resolve()
        home.root.mkdir(parents=True, exist_ok=True)
        probe = home.root / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except (KinemillError, OSError) as error:
        yield Finding("home", False, str(error), "set KINEMILL_HOME to a writable folder")
        return
    yield Finding("home", ok=True, value=str(home.root))
    yield _disk(home)
    yield _alerts(home)
    if any(server.name == "database" and not server.ok for server in servers):
        yield Finding("registry", None, "not checked, without the database")
    else:
        yield _registry(home)


def _disk(home: Home) -> Finding:
    if short := shortage(home.root):
        value, _, fix = short.partition("; ")
        return Finding("disk", False, value, fix)
    return Finding("disk", ok=True, value=f"{shutil.disk_usage(home.root).free / 1e9:.0f} GB free")


def _alerts(home: Home) -> Finding:
    from kinemill.api.project import project

    try:
        settings = project("resources.alerts").settings(home)
    except KinemillError as error:
        return Finding("alerts", False, str(error), "see docs/operations.md")
    if settings is None:
        return Finding("alerts", None, "none: failures are not reported", "write alerts.yaml")
    return Finding("alerts", ok=True, value=f"{len(list(settings.named()))} receivers")


def _registry(home: Home) -> Finding:
    try:
        from kinemill.register.versions import all_aliases
        from kinemill.tracking.database import open_registry

        if open_registry(home) is None:
            return Finding("registry", None, "not created yet; the first run creates it")
        models = all_aliases(home)
    except Exception as error:  # noqa: BLE001 - the other checks follow
        return _failed("registry", error)
    local = home.mlflow_db.name if database.database() is None else "shared database"
    where = database.tracking_server() or local
    return Finding("registry", ok=True, value=f"{where}, {len(models)} models")


def _tasks() -> Iterator[Finding]:
    from kinemill.task import list_tasks, load_task
    from kinemill.task.compute import Ray

    try:
        files = list_tasks()
    except KinemillError as error:
        yield Finding("tasks", False, str(error))
        return
    for name, path in files.items():
        try:
            compute = load_task(path).compute
            if isinstance(compute, Ray) and compute.address:
                ray_cluster.check_cluster(compute.address)
        except Unreachable as error:
            yield _failed(f"task {name}", error)
        except KinemillError as error:
            yield Finding(f"task {name}", False, str(error), f"fix {path}")
        else:
            yield Finding(f"task {name}", ok=True, value=str(path))


def doctor() -> Output:
    """Check versions, GPU, home, disk, tasks and registry.

    Each failed check is shown with its fix. The exit code is 1 if a check fails.

    Example: kinemill doctor
    """
    findings = examine()
    rows = [[_MARKS[item.ok], item.name, item.value, item.fix] for item in findings]
    return Output(
        {"checks": [asdict(finding) for finding in findings]},
        Table("doctor", ["", "what", "found", "what to do"], rows),
        exit_code=int(any(item.ok is False for item in findings)),
    )
