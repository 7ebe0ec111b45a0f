"""Plots, pictures and diagrams of the report."""
