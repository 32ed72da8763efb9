"""Trains, evaluates and exports the models in `engines/`; the daemon needs nothing from here."""
