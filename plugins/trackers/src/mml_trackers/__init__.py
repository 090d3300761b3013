"""Runs of mml in experiment trackers: MLflow and W&B."""
