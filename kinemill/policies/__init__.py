"""Policies: environments, reinforcement, imitation and motion, and their verification.

The stages reach this package through registries alone, see `task.plugins`. It needs the extra
`policies`.
"""
