"""Maintenance of a home: garbage collection, backup, restore and upgrade.

Sizes are in bytes, ages in s.
"""
