"""One network on one dataset, trained as far as its budget goes."""
