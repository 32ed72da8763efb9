"""Trains, checks and exports the one-stage face detector with its mask branch."""
