"""What may be saved: the shape of every document (fields, documents), all faults of an input at once (decode), the
rules between fields and objects (rules), and what saves but cannot deliver (warnings)."""
