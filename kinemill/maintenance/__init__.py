"""Maintenance of a home: garbage collection, backup and restore.

Sizes are in bytes, ages in s.
"""
