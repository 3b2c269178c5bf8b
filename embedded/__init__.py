"""The embedded mode: the same app on one machine, on SQLite, in one process."""
