"""Keeping a home: making room in it, backing it up and restoring it, bringing it to new versions.

Symbols: none; sizes are in bytes, ages in s.
"""
