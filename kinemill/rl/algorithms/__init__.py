"""Algorithms of reinforcement learning, one file each: settings, and how to make what learns.

`kinemill.rl.learner` says what a learner is; most are those of stable-baselines3
and sb3-contrib behind it.
"""
