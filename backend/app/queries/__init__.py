"""The SQL on tasks; nothing else in the service speaks it."""
