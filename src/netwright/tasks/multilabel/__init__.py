"""To tell which of several labels a picture has."""
