"""vitalwatch learns what is normal for each person and says when a vital sign is not."""

__version__ = "0.1.0"
