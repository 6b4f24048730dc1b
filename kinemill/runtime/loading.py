"""From a folder, a file or a registry address to a `Simulator`, with every digest checked."""

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any, Literal

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.runtime.simulator import Simulator

STEP, ROLLOUT = "step.onnx", "rollout.onnx"


def load(
    where: str | Path, *, threads: int = 1, non_finite: Literal["raise", "pass"] = "raise"
) -> Simulator:
    """Load a simulator.

    Args:
        where: a folder with `rollout.onnx` (and `step.onnx` beside it), the path of such a file,
            or an address in the registry, `models:/TASK@champion` or `models:/TASK/3`.
        threads: of ONNX Runtime; for small models one is quicker than two.
        non_finite: what a NaN or infinity in an input does: `raise` an error, or `pass` on and
            come out as NaN in every output of that row of the batch and in no other.

    Raises:
        BadInput: there is no such model, or the registry extra is not installed.
        CorruptArtifact: a file differs from the digest it was published with.
    """
    if non_finite not in ("raise", "pass"):
        raise BadInput("non_finite", repr(non_finite), expected="'raise' or 'pass'")
    if threads < 1:
        raise BadInput("threads", str(threads), expected="1 or more")
    file = _rollout_file(where)
    digests = _published_digests(file.parent)
    beside = file.with_name(STEP)
    return Simulator(
        file,
        _read(file, digests),
        _read(beside, digests) if beside.is_file() else None,
        threads=threads,
        finite=non_finite == "raise",
    )


def _rollout_file(where: str | Path) -> Path:
    if str(where).startswith("models:/"):
        where = _fetch(str(where))
    path = Path(where).expanduser()
    if path.is_dir():
        path = path / ROLLOUT
    if not path.is_file():
        raise BadInput(path, "is not there", expected=f"a folder with {ROLLOUT}, or that file")
    return path


def _fetch(address: str) -> Path:
    try:
        # By name: what a robot has may lack the registry extra, and this layer is below it.
        register = importlib.import_module("kinemill.register")
        return Path(register.fetch_bundle(address))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "kinemill":
            raise
        raise BadInput(
            address,
            f"a registry address needs {error.name!r}, which is not installed",
            fix="pip install 'kinemill[registry]', or load the folder of a model",
        ) from error


def _published_digests(folder: Path) -> dict[str, str]:
    """Return sha256 by file name, as MANIFEST.json and io.json beside the model state them."""
    digests: dict[str, str] = {}
    for name in ("io.json", "MANIFEST.json"):
        path = folder / name
        if path.is_file():
            try:
                files: dict[str, Any] = json.loads(path.read_bytes())["files"]
                digests |= {file: entry["sha256"] for file, entry in files.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CorruptArtifact(path, f"cannot be read ({error!r})") from error
    return digests


def _read(path: Path, digests: dict[str, str]) -> bytes:
    content = path.read_bytes()
    wanted = digests.get(path.name)
    if wanted and hashlib.sha256(content).hexdigest() != wanted:
        raise CorruptArtifact(
            path,
            "its bytes differ from what was published",
            expected=f"sha256 {wanted[:12]}…",
            fix="fetch it again",
        )
    return content
