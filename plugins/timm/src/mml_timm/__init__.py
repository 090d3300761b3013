"""timm's networks as architectures of mml."""
