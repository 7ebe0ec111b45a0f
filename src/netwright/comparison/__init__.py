"""The final comparison of the winner with the networks that one would use without a search."""
