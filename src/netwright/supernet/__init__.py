"""Search inside one training: networks share their weights, and a distribution over networks is learned with them."""
