"""Servers of a home: the guard before Dagster and MLflow, the REST interface and the console."""
