"""The mml command: one light module per command."""
