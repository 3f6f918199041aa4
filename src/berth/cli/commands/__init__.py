"""A module per group of verbs; each has ``COMMANDS``: name → ``Command``."""
