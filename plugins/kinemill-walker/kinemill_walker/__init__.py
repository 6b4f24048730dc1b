"""A small biped for kinemill: the body of an Open Duck Mini as environment type `walker`."""
