"""The names of the files that a training leaves in its folder."""

CURVES = "curves.jsonl"
"""A line an epoch."""
WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"
"""What a training goes on from."""
LOG = "log.txt"
"""What went wrong, with its traces."""
