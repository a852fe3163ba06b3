"""Alarms as people meet them: conditions -> alerts with a life of their own -> messages that arrive; no database."""
