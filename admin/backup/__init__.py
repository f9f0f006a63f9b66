"""Backups: a consistent copy of everything an installation would miss, taken while it runs, and brought back
elsewhere."""
