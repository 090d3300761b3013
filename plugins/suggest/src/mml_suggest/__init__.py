"""Blueprints for a task of mml, by what was best on the tasks nearest to it."""
