"""Sampling controllers, one file each: how they draw plans and update them by their costs."""
