"""Trained networks on disk, and how they are used."""
