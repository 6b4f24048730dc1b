"""Near-duplicates: recordings of the same run, found by locality-sensitive hashing."""
