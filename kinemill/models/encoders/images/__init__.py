"""How a network sees an image."""
