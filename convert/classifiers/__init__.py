"""Other people's mask classifiers beside ours: the seed's three architectures trained alike, and Keras models of users."""
