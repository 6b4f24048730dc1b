"""Imitation: learn actions from demonstrations.

Behavior cloning: at each row of an episode, the next actions are learned from the rows up to it.

Symbols: D numbers observed, A actions, K `seq_len`, T actions of a chunk.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from kinemill.models.encoders import IMAGES, TEXTS, ImageEncoder, TextEncoder
from kinemill.models.heads import HEADS, Head
from kinemill.policies.imitation.chunks import Chunk
from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.task import Channel, RowCount, Task, TorchModule, Width
from kinemill.task.channels import with_roles
from kinemill.task.plugins import MODELS, OBJECTIVES, Model, pick, usual
from kinemill.task.settings import MEDIA, Problems
from kinemill.train.supervised import Demonstrated


@OBJECTIVES.register("imitation")
class Imitation(Demonstrated):
    """Learn a policy: demonstrated actions from observations, images and texts."""

    type: Literal["imitation"] = "imitation"
    observations: list[str] = []
    """observed channels, in this order; an action is that of the row before; default: all states,
    observations, images and texts"""
    seq_len: RowCount = 1
    """observed rows up to the present; recurrent models train through this many and carry their
    state"""
    stride: RowCount = 1
    """rows between the presents of two sequences"""
    model: Annotated[SerializeAsAny[Model], BeforeValidator(pick(MODELS, Model))]
    """architecture of the network"""
    head: Annotated[SerializeAsAny[Head], BeforeValidator(pick(HEADS, Head))] = Field(
        default_factory=lambda: usual(HEADS)
    )
    """head that computes actions"""
    chunk: Chunk = Chunk()
    """actions per prediction"""
    image: Annotated[SerializeAsAny[ImageEncoder], BeforeValidator(pick(IMAGES, ImageEncoder))] = (
        Field(default_factory=lambda: usual(IMAGES))
    )
    """encoder of each image"""
    text: Annotated[SerializeAsAny[TextEncoder], BeforeValidator(pick(TEXTS, TextEncoder))] = Field(
        default_factory=lambda: usual(TEXTS)
    )
    """encoder of each text"""
    text_bytes: Width = 64
    """length of a text, bytes; the rest is cut"""
    eval_in_env: bool = False
    """run `trials.n_eval_episodes` episodes in the environment at each evaluation, with seeds after
    those of the trials"""
    checkpoint: Literal["loss", "action", "success"] = "loss"
    """metric that selects the best weights: loss or error of the next action on validation
    episodes, or success in the environment"""

    @property
    def plan_rows(self) -> int:
        """Rows from one plan to the next."""
        return self.chunk.n_action_steps

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems of the observed channels."""
        problems: Problems = []
        observed = [name for name, channel in channels.items() if channel.role != "reward"]
        for name in self.observations:
            if name not in observed:
                problems.append(
                    (("observations",), f"no observed channel {name!r}; {nearest(name, observed)}")
                )
        if len(set(self.observations)) < len(self.observations):
            problems.append((("observations",), "contains a channel twice"))
        if channels and all(channels[name].role == "action" for name in observed):
            problems.append((("observations",), "the task has no state, observation or image"))
        if channels and not any(channel.role == "action" for channel in channels.values()):
            problems.append((("observations",), "the task has no action channel"))
        return problems

    def observed(self, channels: Mapping[str, Channel]) -> tuple[list[str], list[str], list[str]]:
        """Return the observed numbers, images and texts, each in order."""
        names = self.observations or with_roles(channels, "state", "observation", *MEDIA)
        role = {name: channels[name].role for name in names}
        numbers = [name for name in names if role[name] not in MEDIA]
        images, texts = ([name for name in names if role[name] == medium] for medium in MEDIA)
        return numbers, images, texts

    def setup_function(self) -> Callable[..., object]:
        """Return the function behind `prepare`."""
        from kinemill.policies.imitation.bc_setup import prepare

        return prepare

    def describe(self, task: Task, data: Any) -> Json:
        """Return the policy's layout, units, limits, standard deviations and words."""
        from kinemill.policies.imitation.bc_setup import layout_with_media, words_in

        layout = layout_with_media(self, task, data[0])
        return {**data[0].describe(layout, task), "words": list(words_in(data[1], layout))}

    def rebuild(self, description: Json, weights: dict[str, Any]) -> TorchModule:
        """Return a `kinemill.policies.imitation.bc_policy.BCPolicy` with the scaling of `weights`.

        The weights themselves are random; the caller loads them.
        """
        from kinemill.policies.imitation.bc_setup import assemble, scale_in

        return assemble(self, description, scale_in(weights))
