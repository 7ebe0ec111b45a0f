"""Labelled pictures: read, inspected, prepared once, and mapped into memory by workers."""
