"""The Dagster project of kinemill under one importable name.

The folders `assets/`, `resources/` and `pipelines/` lie at the top of the repository, and the wheel
holds them in this package. In a checkout the three links beside this file lead to them. Generic
names such as `assets` never become top-level packages, so they cannot hide modules of a user.
"""
