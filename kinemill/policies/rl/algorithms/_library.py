"""Algorithms of stable-baselines3 and sb3-contrib."""

from abc import abstractmethod
from functools import partial
from importlib import import_module
from inspect import signature
from operator import attrgetter
from typing import Any, ClassVar

from kinemill.policies.rl.learner import Learner, Site
from kinemill.policies.rl.objective import Reinforcement
from kinemill.task.reinforcement import Algorithm


class LibraryAlgorithm(Algorithm):
    """Settings of an algorithm of the library.

    Attributes:
        library: the class of stable-baselines3 or sb3-contrib, `module:Class`.
        policy_alias: name of the policy class in the library.
        features_by: attribute of its policies that is the extractor of the acting network.
    """

    library: ClassVar[str]
    policy_alias: ClassVar[str] = "MlpPolicy"
    features_by: ClassVar[str]

    def settings(self, site: Site) -> dict[str, object]:
        """Return the arguments of the library's class: settings that have the names of these."""
        del site
        parameters = signature(self.library_class).parameters
        names = [name for name in type(self).model_fields if name in parameters]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def library_class(self) -> Any:
        """The class of the algorithm in the library."""
        module, _, name = self.library.partition(":")
        return getattr(import_module(module), name)

    def policy_class(self, site: Site, policy: type[object]) -> type[object]:
        """Return the policy class of a training, from the library's own."""
        del site
        return policy

    @abstractmethod
    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the acting network in a policy of the library, in order."""

    def copied(self, learn: Reinforcement, policy: Any) -> Any:
        """Return a copy of the acting network in a policy of the library."""
        from torch import nn

        from kinemill.policies.rl.networks import ModelCore, copy_layers

        layers = [layer for layer in self.layers(policy) if isinstance(layer, nn.Linear)]
        inputs = policy.observation_space.shape[0] - getattr(policy, "privileged", 0)
        core = self.core(learn, inputs, layers[-1].out_features)
        if isinstance(core, ModelCore):
            model = attrgetter(self.features_by)(policy).extractor
            core.extractor.load_state_dict(model.state_dict())
        copy_layers(layers, [core.head] if isinstance(core, ModelCore) else core.layers)
        return core.eval()

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        from kinemill.policies.rl.sb3 import LibraryLearner

        library = self.library_class
        policy = self.policy_class(site, library.policy_aliases[self.policy_alias])
        build = partial(library, policy, **self.settings(site))
        return LibraryLearner(site, build, lambda policy: self.copied(site.learn, policy))
