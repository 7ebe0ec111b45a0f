"""Missing parts of images restored."""
