"""REST at `/api/v1`: tasks, logs, runs and models, behind the guard of the web pages."""
