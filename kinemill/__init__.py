"""kinemill: turn robot logs into verified, versioned dynamics models and policies.

`kinemill.api` is the Python API, and `kinemill.runtime.load` loads an exported model. Importing
this package imports nothing else.
"""

__version__ = "0.1.0"
