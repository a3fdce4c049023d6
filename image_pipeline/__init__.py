"""PUSH/PULL: thumbnails of a big folder, and no image is ever lost."""
