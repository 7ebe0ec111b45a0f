"""How well labels are told, a file for each metric."""
