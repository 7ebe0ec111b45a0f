"""Label maps of volumes and of images."""
