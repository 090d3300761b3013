"""Tasks: descriptions, sample tables, the index of what is installed, tags and creation."""
