"""edged: a camera appliance that sees masks, attention and drowsiness."""

from importlib.metadata import version

__version__ = version("edged")
