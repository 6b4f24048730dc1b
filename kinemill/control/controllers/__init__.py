"""Sampling controllers, one file each: how plans are drawn, and what their costs say."""
