"""The journal: what was bid, won, shown, clicked and bought, as rows that reports and training read."""
