"""Mixed precision: networks in bfloat16 or float16, everything else in float32.

Only the network is run in low precision, by torch's autocast. Encodings, relations, integration
and loss stay in float32: a state of 3.1416 rad in bfloat16 would be off by up to 8e-3 rad at every
step of a rollout, which no weights can make good. Gradients of float16 are scaled so that small
ones do not vanish (Micikevicius et al. 2018, section 3.2).
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kinemill.errors import BadInput

KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16}
LEAST_SCALE = 1.0  # a gradient that overflows without being scaled up does so by itself


def lowered(module: nn.Module, amp: str) -> list[Any]:
    """Return the parts of a module whose networks can run in the precision `learn.amp` names.

    Raises:
        BadInput: there is none.
    """
    parts = [part for part in module.modules() if hasattr(part, "lowered")]
    for part in parts:
        if getattr(part.network, "physical", False):
            raise BadInput(
                f"learn.amp: {amp}",
                "the model works in physical units, which low precision would round",
                expected="a model of features alone, such as mlp, gru or transformer",
                fix="leave learn.amp off",
            )
    if not parts:
        raise BadInput(f"learn.amp: {amp}", "nothing of this training can run so", fix="say off")
    return parts


@contextmanager
def in_precision(parts: list[Any], amp: str, device: torch.device) -> Generator[None]:
    """Let the networks of `parts` run in low precision inside."""
    # The outer one, which lowers nothing, keeps weights cast once for all steps of a rollout.
    with torch.autocast(device.type, enabled=False):
        for part in parts:
            part.lowered = KINDS[amp]
        try:
            yield
        finally:
            for part in parts:
                part.lowered = None


def scaler_of(amp: str, device: torch.device) -> torch.amp.GradScaler | None:
    """Return what scales the loss; None where nothing has to be."""
    return torch.amp.GradScaler(device.type) if amp == "fp16" else None
