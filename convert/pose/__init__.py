"""Fits the head shape, trains, compares and exports the two learned head poses."""
