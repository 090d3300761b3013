"""From image files to batches: preprocessing, memory-mapped stores, datasets and the data module."""
