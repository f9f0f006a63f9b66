"""Who may do what: callers and their scopes (principal), passwords, logins, rate limits."""
