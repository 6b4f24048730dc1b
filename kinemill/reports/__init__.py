"""Self-contained HTML pages: charts as inline SVG, HTML components, one style sheet."""

PAGES = "/kinemill/tasks"  # path of the pages of tasks and versions on the servers of `kinemill ui`
