"""REST: one table of operations, strict JSON in, problems instead of errors, nobody's data in logs."""
