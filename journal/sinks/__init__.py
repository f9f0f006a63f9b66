"""Where rows of the journal go: the worker's own files, and perhaps Kafka or ClickHouse besides."""
