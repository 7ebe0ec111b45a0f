"""The names of the files that a training leaves in its folder."""

CURVES = "curves.jsonl"
"""One line an epoch."""
WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"
"""The file that a training goes on from."""
LOG = "log.txt"
"""Errors with their tracebacks."""
