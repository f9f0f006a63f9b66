"""A shop's page in a browser: which events its tag sends, and what is wrong with them (`grosz tag check`)."""
