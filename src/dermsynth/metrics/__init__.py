"""Arrays in, numbers out: scores, error bars and distances between sets of features. Nothing here knows a model."""
