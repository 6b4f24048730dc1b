"""Taggers, one file each: plug-ins that tag recordings by their accepted episodes.

A member of the family is a `kinemill.task.Tagger` with `find_tags(episodes, dt)`.
"""
