"""Mixed precision: networks in bfloat16 or float16, everything else in float32.

Only the network runs in low precision, by torch's autocast. Encodings, relations, integration and
loss stay in float32, because bfloat16 rounds a state of 3.1416 rad by up to 8e-3 rad at every step
of a rollout. float16 gradients are scaled so that small ones do not vanish (Micikevicius et al.
2018, section 3.2).
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kinemill.errors import BadInput

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MIN_SCALE = 1.0  # below this scale an overflow is not caused by the scaling


def lowered(module: nn.Module, amp: str) -> list[torch.nn.Module]:
    """Return the modules whose networks can run in the precision of `learn.amp`.

    Raises:
        BadInput: There is none, or a network works in physical units.
    """
    parts = [part for part in module.modules() if hasattr(part, "lowered")]
    for part in parts:
        if getattr(part.network, "physical", False):
            raise BadInput(
                f"learn.amp: {amp}",
                "the model works in physical units, which low precision rounds",
                expected="a model of features, such as mlp, gru or transformer",
                fix="set learn.amp: off",
            )
    if not parts:
        raise BadInput(
            f"learn.amp: {amp}", "no network of this training supports it", fix="set learn.amp: off"
        )
    return parts


@contextmanager
def in_precision(parts: list[Any], amp: str, device: torch.device) -> Generator[None]:
    """Run the networks of `parts` in low precision inside the context.

    Args:
        parts: modules of `lowered`.
        amp: `bf16` or `fp16`.
        device: device of the networks.
    """
    # torch clears its cache of cast weights at the end of the outermost autocast. The outer,
    # disabled one keeps the cache over all steps of a rollout.
    with torch.autocast(device.type, enabled=False):
        for part in parts:
            part.lowered = DTYPES[amp]
        try:
            yield
        finally:
            for part in parts:
                part.lowered = None


def scaler_of(amp: str, device: torch.device) -> torch.amp.GradScaler | None:
    """Return the gradient scaler of fp16, else None."""
    return torch.amp.GradScaler(device.type) if amp == "fp16" else None
