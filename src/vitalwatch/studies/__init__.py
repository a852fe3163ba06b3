"""Studies: settings tuned, and alternatives compared, on people of their own; nothing here is needed to serve."""
