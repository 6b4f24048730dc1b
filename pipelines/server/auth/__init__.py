"""Authorization of every request to Dagster's and MLflow's servers.

Dagster's webserver runs GraphQL mutations sent by GET and by cross-site POST with any Origin and
Host, and MLflow has no users; so any page open in the same browser could start or delete runs. The
guard is an ASGI middleware in each server's process, so that it covers every port.

- `middleware`: the ASGI middleware; `connections`: its time limits and maximum of connections.
- `request`, `operation`: HTTP and GraphQL requests, parsed once and written in canonical form.
- `permissions`: permissions; `dagster_site`, `mlflow_site`: served routes and their permissions.
- `mlflow_records`: the runs and experiments that requests to MLflow name.
- `rest_routes`: permissions of REST, which `pipelines/server/rest` serves.
- `users`, `users_file`: users with their roles, tasks, passwords and tokens.
- `credentials`: passwords and tokens, within limits.
- `rules`: checks of origin, host and user; `login`: the options; `proxy`: users of a proxy.
"""
