"""Code of the user that settings name: read without running it (`sources`), and loaded (`loading`)."""
