"""How the tables came to be, up and down; `upgrading` runs them."""
