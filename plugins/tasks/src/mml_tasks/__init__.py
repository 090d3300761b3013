"""Real image tasks for mml, and importers for data of your own."""
