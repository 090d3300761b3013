"""Intrinsic dimension of image tasks: how many numbers it takes, locally, to tell their samples apart."""
