"""What plugin authors test with: fixtures for pytest, and distributions on disk."""
