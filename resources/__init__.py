"""Connections of the assets to the outside: store, references, compute, alerts."""
