"""How well label maps fit the truth, a file for each metric."""
