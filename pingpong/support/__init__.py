"""What makes the three screens strong: endpoints, signals, statistics."""
