"""What serving remembers: readings, scores, alarms, keys and who did what, in SQLite or PostgreSQL."""
