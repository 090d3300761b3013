"""Importers: make a task of images of your own, by ``mml tasks add folder|csv|pairs``."""
