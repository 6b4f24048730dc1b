"""Reinforcement learning: copies of an environment, learners, the loop around them, the actor.

A training goes in rounds. Each begins with fresh episodes and random states that follow from the
seed and the round, so that what a checkpoint between two rounds holds is all that the next one
depends on, whatever an environment keeps to itself.

Symbols: B batch or copies, D numbers observed, E numbers after the wrappers, A actions, N steps.
"""
