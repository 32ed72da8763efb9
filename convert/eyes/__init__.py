"""Trains, calibrates, checks and exports the eye classifier."""
