"""Batches for training, augmented on the device."""
