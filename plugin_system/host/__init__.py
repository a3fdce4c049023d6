"""The host's side: processes, restarts, output."""
