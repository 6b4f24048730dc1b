"""Console: pages with forms to start a run, follow it, and decide about versions and recordings.

The pages are plain HTML. Their one script sends forms to REST as JSON, so REST's checks, roles and
protection against other sites hold for the console too: the pages themselves change nothing.
"""
