"""References: simple models of each family, selected on rows that are left out of their fits.

A model must beat the best member of each family. The families are `linear` and `linear_sincos` with
several lengths of history and ridges, `physics` if velocities declare their positions
(`derivative_of`), `constant_velocity` and `persistence`. The test split is not used for selection.
"""
