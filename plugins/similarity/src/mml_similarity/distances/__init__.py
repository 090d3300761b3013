"""Distances between tasks, a module each: what a task is summarised by, and the distance of two summaries."""
