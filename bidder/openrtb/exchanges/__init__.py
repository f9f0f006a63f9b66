"""How single exchanges differ from the specification. `generic` holds what their configuration can say."""
