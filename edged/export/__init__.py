"""Closed days as files that stay as they are: rows of passages, events and coverage, and a manifest that vouches for them."""

from edged.export.run import Exporter

__all__ = ["Exporter"]
