"""Runs and projects of mml as one self-contained HTML page."""
