"""Scores every model on the data at hand, peers beside them, with intervals, by source and group, and shows the worst cases."""
