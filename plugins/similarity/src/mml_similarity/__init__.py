"""Distances between the tasks of mml, and what they look like."""
