"""What notebooks use: projects as tables, stored models, runs. ``mml_core.api`` exports all of it, lazily."""
