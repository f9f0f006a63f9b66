"""Configuration and ledger rows in SQL: SQLite (WAL) by default, PostgreSQL by URL. The only package that knows SQL."""
