"""Reinforcement learning: copies of an environment, learners, the loop around them, the actor.

A training goes in rounds. Each starts with new episodes and with random states derived from the
seed and the round, so a checkpoint between two rounds holds everything that the next round depends
on, even if an environment has hidden state.

Symbols: B batch or copies, D numbers observed, E numbers after the wrappers, A actions, N steps.
"""
