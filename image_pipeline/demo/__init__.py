"""A worker is killed, and no image is lost."""
