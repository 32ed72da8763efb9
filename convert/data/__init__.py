"""Reads the data sets that models are trained and checked on."""
