"""How a network comes to an action, one file each."""
