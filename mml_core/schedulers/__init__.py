"""The modes that ship with the core."""
