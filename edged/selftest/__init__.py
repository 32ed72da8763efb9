"""Checks on the device that every model gives the expected output: golden pictures on every backend present."""
