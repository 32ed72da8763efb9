"""Trains, evaluates and exports the models in `engines/`; the daemon needs nothing from here."""

import edged  # noqa: F401  sets what OpenCV reads when it is first imported
