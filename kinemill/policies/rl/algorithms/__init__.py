"""Algorithms of reinforcement learning, one file each: settings, and construction of the learner.

`kinemill.policies.rl.learner` defines a learner; most wrap stable-baselines3 and sb3-contrib.
"""
