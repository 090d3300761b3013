"""The file manager: where every file of a project goes, and how files are found again."""
