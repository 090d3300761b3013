"""The smallest complete mml plugin."""
