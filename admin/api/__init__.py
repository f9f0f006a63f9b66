"""The admin API, `/v1`: one module a resource, all built on the same operations (admin.api.operations)."""
