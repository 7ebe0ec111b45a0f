"""What good means: the tasks, their losses and their metrics."""
