"""The final comparison: the winner beside the networks that one would have taken without a search."""
