"""Draws a mask on a face, from its 68 or 5 points: for training, for tests, and for `edged wear-mask`."""

from edged.render.fabric import STYLES, MaskStyle, random_style
from edged.render.outline import Wear
from edged.render.sheet import contact_sheet, face_crop
from edged.render.wear import WornMask, wear_mask

__all__ = ["STYLES", "MaskStyle", "Wear", "WornMask", "contact_sheet", "face_crop", "random_style", "wear_mask"]
