"""Authorization of every request to Dagster's and MLflow's servers.

Dagster's webserver runs GraphQL mutations sent by GET and by cross-site POST with any Origin and
Host, and MLflow has no users; so any page open in the same browser could start or delete runs. The
guard is a layer inside each server's own process, so that no port is left without it.

- `layer`: the ASGI layer; `connections`: its time limits and maximum of connections.
- `request`, `operation`: HTTP and GraphQL requests, parsed once and written in canonical form.
- `needs`: permissions; `dagster_site`, `mlflow_site`: which routes are served and what they need.
- `mlflow_records`, `uploads`: runs in MLflow with their users, and what is being written to them.
- `people`, `users_file`: users with their roles, tasks, passwords and tokens.
- `credentials`, `attempts`: passwords and tokens, within limits.
- `sessions`, `revocation`: cookies and websockets that end with the rights of their user.
- `rules`: the checks of a page and of its user; `proxy`: users that a proxy logs in.
"""
