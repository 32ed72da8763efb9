"""Trains, evaluates and exports the models in `engines/`; the daemon needs nothing from here."""

import edged  # noqa: F401  before any library: it keeps ONNX Runtime from reporting its use
