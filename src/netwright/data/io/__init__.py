"""One reader and writer for each file format."""
