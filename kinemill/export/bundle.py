"""The bundle: one folder that runs anywhere, and says of itself how good it is.

`step.onnx` and `rollout.onnx` run, or `policy.onnx`, and `step.c` and variants where the task asks;
`io.yaml` says what every tensor means; `cases.npz` what a few windows must come to;
`verification.json` and `report.html` how good the model is; `sha256sums` lets anyone check the rest
with `sha256sum -c`, or with `python -m kinemill.runtime verify`, which tries it as well.
"""

import json
import shutil
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.runtime.integrity import (
    INTERFACE,
    IO,
    POLICY,
    STORE_FILES,
    SUMS,
    interface_digest,
    read_sums,
)
from kinemill.store import Json, aside_of
from kinemill.store.digests import file_digest


def assemble(folder: Path, *stages: Path) -> None:
    """Copy what stages published into `folder`, and write `sha256sums` of it."""
    for stage in stages:
        for path in sorted(stage.iterdir()):
            if path.is_file() and path.name not in STORE_FILES:  # of a stage, not of the model
                shutil.copyfile(path, folder / path.name)
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """Write `sha256sums` of all files in a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines))


def write_interface(folder: Path, document: Json) -> None:
    """Write `io.yaml` beside the ONNX files of a folder, and `seal` it."""
    import yaml

    # By way of JSON, as YAML would spell lists that are one and the same as references.
    plain = json.loads(json.dumps(document, allow_nan=False))
    (folder / IO).write_bytes(yaml.safe_dump(plain, sort_keys=False).encode())
    seal(folder)


def seal(folder: Path) -> None:
    """Let each ONNX file state the digest of `io.yaml`, and list all files in `sha256sums`."""
    io = (folder / IO).read_bytes()
    for path in sorted(folder.glob("*.onnx")):
        path.write_bytes(_sealed(path.read_bytes(), io))
    write_sums(folder)


def _sealed(content: bytes, io: bytes) -> bytes:
    """Return an ONNX file that states which io.yaml belongs to it."""
    import onnx

    model = onnx.ModelProto.FromString(content)
    properties = {item.key: item.value for item in model.metadata_props}
    properties.pop(INTERFACE, None)
    stated = json.dumps(interface_digest(properties, io))
    onnx.helper.set_model_props(model, properties | {INTERFACE: stated})
    return model.SerializeToString(deterministic=True)


def deliver(bundle: Path, to: Path, *, c99: bool = False) -> Json:
    """Copy a bundle to a folder of one's own: the whole of it at once, or nothing.

    Args:
        bundle: as it was registered.
        to: where; it must not be there, or be empty.
        c99: make step.c and step.h of it if it has none, compare them with step.onnx, and add them.

    Returns:
        `folder`, `files` by sha256, and what `c99` came to.

    Raises:
        BadInput: there is something in `to`, or the step cannot be translated to C.
        Blocked: the C gives other numbers than step.onnx.
    """
    from kinemill.export.c99.parity import write_c99

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadInput(to, "is there already", expected="a new folder, or an empty one")
    if c99 and (bundle / POLICY).is_file():
        raise BadInput(bundle, "is a policy", expected="a step, to be translated to C")
    aside, c99_result = aside_of(to), None
    try:
        aside.mkdir()
        for name in (SUMS, *read_sums(bundle)):
            shutil.copyfile(bundle / name, aside / name)
        if c99 and not (aside / "step.c").is_file():
            c99_result = write_c99(aside, (aside / "step.onnx").read_bytes())
            write_sums(aside)
        if to.is_dir():
            to.rmdir()
        aside.rename(to)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return {"folder": str(to), "files": read_sums(to), "c99": c99_result}
