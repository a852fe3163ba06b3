"""The steps of a run; each is a function from a folder and settings to a folder."""
