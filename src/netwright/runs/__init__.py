"""Everything of a run that is stored on disk."""
