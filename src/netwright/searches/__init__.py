"""Searches: many candidates are proposed, trained by workers, and stored as they finish."""
