"""From a run folder to the content of its report."""
