"""Finds faces in one picture with our own detector, and decides where in each picture of a camera it looks."""
