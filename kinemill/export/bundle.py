"""Bundle: one folder with a model, its description, its report and checksums.

| file | content |
|---|---|
| `step.onnx` and `rollout.onnx`, or `policy.onnx` | the model |
| `step.c`, `step.h` | optional, see `export` in the task file |
| `io.yaml` | name, shape, channels, units and meaning of every tensor |
| `cases.npz` | inputs with expected outputs, for `python -m kinemill.runtime verify` |
| `verification.json`, `report.html` | measured errors |
| `sha256sums` | digests of all other files, for `sha256sum -c` |
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.export.io_document import IoDocument
from kinemill.export.summary import C99Facts
from kinemill.runtime.integrity import (
    INTERFACE,
    IO,
    POLICY,
    STEP,
    STORE_FILES,
    SUMS,
    interface_digest,
    read_sums,
)
from kinemill.store import aside_of, file_digest, to_json_value


def assemble(folder: Path, *stages: Path) -> None:
    """Copy the published files of stages into `folder`, and write its `sha256sums`."""
    for stage in stages:
        for path in sorted(stage.iterdir()):
            if path.is_file() and path.name not in STORE_FILES:
                shutil.copyfile(path, folder / path.name)
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """Write `sha256sums` of all files in a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines))


def write_interface(folder: Path, document: IoDocument) -> None:
    """Write `io.yaml` into a folder with ONNX files, and `seal` it."""
    import yaml

    # Through JSON, which copies lists: YAML would write a list that occurs twice as a reference.
    plain = json.loads(json.dumps(to_json_value(document), allow_nan=False))
    (folder / IO).write_bytes(yaml.safe_dump(plain, sort_keys=False).encode())
    seal(folder)


def seal(folder: Path) -> None:
    """Write the digest of `io.yaml` into each ONNX file, then list all files in `sha256sums`."""
    # Digest of io.yaml first, sums last: each step covers the files of the step before.
    io = (folder / IO).read_bytes()
    for path in sorted(folder.glob("*.onnx")):
        path.write_bytes(_sealed(path.read_bytes(), io))
    write_sums(folder)


def _sealed(content: bytes, io: bytes) -> bytes:
    """Return an ONNX file with the digest of its io.yaml in the metadata."""
    import onnx

    model = onnx.ModelProto.FromString(content)
    properties = {item.key: item.value for item in model.metadata_props}
    properties.pop(INTERFACE, None)
    stated = json.dumps(interface_digest(properties, io))
    onnx.helper.set_model_props(model, properties | {INTERFACE: stated})
    return model.SerializeToString(deterministic=True)


@dataclass(frozen=True)
class Delivery:
    """A delivered bundle: folder, sha256 by file, and facts about added C code."""

    folder: str
    files: dict[str, str]
    c99: C99Facts | None


def deliver(bundle: Path, to: Path, *, c99: bool = False) -> Delivery:
    """Copy a bundle to a new folder, atomically.

    `to` is missing or empty. `c99` adds the C code if it is missing, and compares it with the ONNX
    file.

    Raises:
        BadInput: `to` is not empty, or the model cannot be translated to C.
        Blocked: The C code differs from the ONNX file.
    """
    from kinemill.export.c99.parity import write_c99, write_policy_c99

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadInput(to, "exists and is not empty", expected="a new folder, or an empty one")
    aside = aside_of(to)
    c99_result = None
    try:
        aside.mkdir()
        for name in (SUMS, *read_sums(bundle)):
            shutil.copyfile(bundle / name, aside / name)
        policy = (aside / POLICY).is_file()
        if c99 and not (aside / ("policy.c" if policy else "step.c")).is_file():
            model = (aside / (POLICY if policy else STEP)).read_bytes()
            c99_result = (write_policy_c99 if policy else write_c99)(aside, model)
            write_sums(aside)
        if to.is_dir():
            to.rmdir()  # fails if a file was added meanwhile, so nothing is overwritten
        aside.rename(to)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Delivery(str(to), read_sums(to), c99_result)
