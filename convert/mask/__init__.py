"""Trains, calibrates, checks and exports the mask classifier."""
