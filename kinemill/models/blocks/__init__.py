"""Perception blocks of the model `composed`, one file each."""
