"""Imitation: policies that learn actions from demonstrations."""
