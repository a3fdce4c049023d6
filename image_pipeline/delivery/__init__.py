"""At least once: what PUSH/PULL forgets, and who is there to ask."""
