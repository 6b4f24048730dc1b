"""How a network reads a text."""
