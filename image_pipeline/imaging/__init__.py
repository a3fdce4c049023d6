"""Pixels: bytes in, thumbnails out. No sockets, no files."""
