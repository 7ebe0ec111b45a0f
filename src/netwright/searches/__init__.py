"""Many candidates: proposed, trained by workers, stored as they finish."""
