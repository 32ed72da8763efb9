"""Trains, evaluates and exports the models in `engines/`; the daemon needs nothing from here."""

import edged  # noqa: F401  before any library: it says what ONNX Runtime and OpenCV read when they are first imported
