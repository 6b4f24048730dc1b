"""A policy that sees less than its environment shows: numbers picked by name, the rest left out."""

from typing import Any

from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout


class Seeing:
    """Shows a policy what it knows by name, of what an environment shows.

    Args:
        policy: acts on what it sees.
        places: of its numbers among those of the environment.
        names: of its images and texts.
    """

    def __init__(self, policy: Any, places: list[int], names: list[str]) -> None:
        self._policy, self._places, self._names = policy, places, names

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self._policy.reset(seed)

    def act(self, observation: Any) -> Any:
        """Choose an action by what the policy sees."""
        if not isinstance(observation, dict):
            return self._policy.act(observation[self._places])
        kept = [name for name in (*self._names, MASK) if name in observation]
        seen = {name: observation[name] for name in kept}
        if self._places:
            seen[OBSERVATION] = observation[OBSERVATION][self._places]
        return self._policy.act(seen)


def seeing(policy: Any, layout: PolicyLayout) -> Any:
    """Return what acts in an environment of `layout`: the policy, or it with less to see.

    Args:
        policy: one that says by its `interface` what it sees, or any other, which sees it all.
        layout: of the environment.
    """
    interface = getattr(policy, "interface", None)
    if interface is None:
        return policy
    own: PolicyLayout = interface.layout
    media, shown = [*own.images, *own.texts], [*layout.images, *layout.texts]
    known = set(layout.observation)
    if (own.observation == layout.observation and media == shown) or not known.issuperset(
        own.observation
    ):
        return policy
    return Seeing(policy, [layout.observation.index(name) for name in own.observation], media)
