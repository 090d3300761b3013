"""Composing and validating the configuration of a run."""
