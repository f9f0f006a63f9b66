"""The segment rule language: text to windows of membership (docs/segments.md)."""
