"""Datasets of images with label maps: inspected, preprocessed once, and mapped into memory."""
