"""Draws on pictures: what was found in them (`annotate`), and masks on faces (`wear`).

The latter for training, for tests, and for `edged wear-mask`.
"""

from edged.render.fabric import STYLES, MaskStyle, random_style
from edged.render.outline import Wear
from edged.render.sheet import contact_sheet, face_crop
from edged.render.wear import WornMask, wear_mask

__all__ = ["STYLES", "MaskStyle", "Wear", "WornMask", "contact_sheet", "face_crop", "random_style", "wear_mask"]
