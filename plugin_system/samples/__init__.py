"""Three plugins: two useful ones, and one that fails in every way."""
