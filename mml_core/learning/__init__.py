"""Models, losses, metrics, training and prediction."""
