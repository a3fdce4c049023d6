"""Workers that may die, and what replaces them."""
