"""Trains, exports and compares the regressors of 68 facial landmarks."""
