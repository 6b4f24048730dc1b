"""A policy that sees less than its environment shows: numbers picked by name, the rest left out."""

from typing import Any

from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout


def seen_by(policy: object, observation: object, available: PolicyLayout) -> object:
    """Return the part of an observation that a policy uses.

    A policy without an `interface`, which lists its inputs, uses all. `observation` is (..., D), or
    a mapping with it and media by name.
    """
    interface = getattr(policy, "interface", None)
    return observation if interface is None else narrowed(observation, interface.layout, available)


def narrowed(observation: Any, layout: PolicyLayout, available: PolicyLayout) -> Any:
    """Return the `layout` part of the `available` observation, in the order of `layout`.

    Names that are not shown cannot be picked: all is returned then, by its place.

    Args:
        observation: (..., D), or a mapping with it and media by name; each may be of many steps.
        layout: names to return.
        available: names of the observation.
    """
    media = [*layout.images, *layout.texts]
    same = layout.observation == available.observation and media == [
        *available.images,
        *available.texts,
    ]
    if same or not set(available.observation).issuperset(layout.observation):
        return observation
    columns = [available.observation.index(name) for name in layout.observation]
    if not isinstance(observation, dict):
        return observation[..., columns]
    unchanged = {name: observation[name] for name in (*media, MASK) if name in observation}
    return ({OBSERVATION: observation[OBSERVATION][..., columns]} if columns else {}) | unchanged
