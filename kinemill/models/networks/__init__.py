"""The torch networks behind the settings of `kinemill.models`, one importable class each.

Settings are read without torch; they import their network when `build` is called.
"""
