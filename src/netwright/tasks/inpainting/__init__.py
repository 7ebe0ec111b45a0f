"""Restores missing parts of images."""
