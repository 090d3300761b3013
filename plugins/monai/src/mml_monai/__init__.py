"""MONAI networks as architectures of mml."""
