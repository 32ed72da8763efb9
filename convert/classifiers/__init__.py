"""Other people's mask classifiers beside ours: the baselines' three architectures trained alike, and Keras models of users."""
