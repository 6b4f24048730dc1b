"""Pages that open anywhere: charts as inline SVG, pieces of HTML, one style sheet."""

PAGES = "/kinemill/tasks"  # path of the pages of tasks and versions on the servers of `kinemill ui`
