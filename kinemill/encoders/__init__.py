"""How a network sees an image or reads a text, one file each."""
