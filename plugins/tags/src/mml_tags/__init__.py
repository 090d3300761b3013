"""Tags of mml that make variants of a task: less data, other classes, wrong labels."""
