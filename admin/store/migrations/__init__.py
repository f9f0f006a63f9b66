"""Alembic's environment and the steps of the schema, shipped inside the package (see admin.store.migrate)."""
