"""Who may sell whose impressions: reading the public files, fetching those that are declared, publishing the table."""
