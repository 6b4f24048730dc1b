"""What stands between a browser and the two servers: who asks, from which page, and for what.

Dagster's webserver runs GraphQL mutations sent by GET and by cross-site POST with any Origin and
Host, and MLflow asks nobody who one is; so any page open in the same browser could start or delete
runs. The guard is a layer inside each server's own process, so that no port is left without it.

- `needs`: what a request asks for: to look, to operate, to administer, or what nobody gets.
- `people`: users with their roles, passwords and tokens.
- `credentials`, `attempts`: passwords and tokens, within limits.
- `sessions`, `revocation`: cookies and websockets that end with the rights of their user.
- `rules`: who may ask at all, from where.
- `layer`: the ASGI layer that puts these to use.
"""
