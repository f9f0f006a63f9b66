"""The pages behind the log-in, each group in a module of its own."""
