"""What vnum does, one use case a file."""
