"""Policies: environments, reinforcement, imitation and motion, and how verification judges them.

The stages reach this package through registries alone, see `task.plugins`. It needs the extra
`policies`.
"""
