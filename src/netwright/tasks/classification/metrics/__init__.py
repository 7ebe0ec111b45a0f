"""How many classes are right, a file for each metric."""
