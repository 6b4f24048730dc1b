"""A policy that sees less than its environment shows: numbers picked by name, the rest left out."""

from typing import Any

from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout


def seen_by(policy: Any, observation: Any, shown: PolicyLayout) -> Any:
    """Return what a policy sees of what an environment shows.

    Args:
        policy: one that says by its `interface` what it sees, or any other, which sees it all.
        observation: as the environment gives it: (..., D), or a mapping with it and media by name.
        shown: names of it.
    """
    interface = getattr(policy, "interface", None)
    return observation if interface is None else narrowed(observation, interface.layout, shown)


def narrowed(observation: Any, own: PolicyLayout, shown: PolicyLayout) -> Any:
    """Return of what is `shown` the part that `own` names, in the order of `own`.

    Names that are not shown cannot be picked: all is returned then, by its place.

    Args:
        observation: (..., D), or a mapping with it and media by name; each may be of many steps.
        own: what is seen.
        shown: what there is.
    """
    media = [*own.images, *own.texts]
    same = own.observation == shown.observation and media == [*shown.images, *shown.texts]
    if same or not set(shown.observation).issuperset(own.observation):
        return observation
    places = [shown.observation.index(name) for name in own.observation]
    if not isinstance(observation, dict):
        return observation[..., places]
    kept = {name: observation[name] for name in (*media, MASK) if name in observation}
    return ({OBSERVATION: observation[OBSERVATION][..., places]} if places else {}) | kept
