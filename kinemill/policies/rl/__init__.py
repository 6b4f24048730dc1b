"""Reinforcement learning: copies of an environment, learners, the training loop, the actor.

A training consists of rounds. Each starts new episodes and seeds all random generators from the
seed and the round. So a checkpoint between two rounds holds everything that the next round depends
on, even if an environment has hidden state.

Symbols: B batch or copies, D numbers observed, E numbers after the wrappers, A actions, N steps.
"""
