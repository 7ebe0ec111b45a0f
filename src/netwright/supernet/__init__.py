"""Search inside one training: networks that share their weights, and a distribution over them that learns alike."""
