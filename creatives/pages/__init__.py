"""What shops put into their own pages."""
