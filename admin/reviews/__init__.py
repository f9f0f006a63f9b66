"""Creatives before exchanges: what each exchange has decided of each, and asking it (docs/approvals.md)."""
