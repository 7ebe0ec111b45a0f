"""One candidate: its training, its cost, its outcome."""
