"""Connections between the assets and what lies outside: store, references, compute, alerts."""
