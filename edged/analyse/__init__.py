"""Reads faces: the last stage that sees pixels."""

from edged.analyse.analyser import Analyser

__all__ = ["Analyser"]
