"""Resources of the assets: store, references, compute, alerts."""
