"""Scores the whole way, from pictures to passages and alerts, on recordings whose truth was written down by eye."""
