"""Pages that open anywhere: charts as inline SVG, pieces of HTML, one style sheet."""
