"""Legged robots in physics: bodies in MJCF, MuJoCo on all cores or on a GPU, many robots as arrays.

The environment kind `legged` is built from them, and motion tracking trains on them.
"""
