"""Where work runs: worker processes, their signs of life, and what this machine offers."""
