"""What masks are made of: the seven styles, and their colour and shading as a function of fabric coordinates."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pattern = Literal["plain", "stripes", "checks", "dots", "print"]
Colour = tuple[float, float, float]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class MaskStyle:
    """One kind of mask. Colours are BGR, 0 to 255."""

    name: str
    colour: Colour
    second: Colour = (90.0, 90.0, 90.0)
    pattern: Pattern = "plain"
    pleats: int = 0
    seam: bool = False
    valve: bool = False
    dome: float = 0.15
    """How much the shading falls off to the sides: 0 flat, 1 a cup."""
    straightness: float = 0.5
    """0 follows the jaw, 1 spans it straight."""
    border: float = 0.0
    """Darkness of the hem."""
    phase: float = 0.0
    scale: float = 6.0


STYLES: tuple[MaskStyle, ...] = (
    MaskStyle("surgical, blue", (226, 190, 140), pleats=3, straightness=0.8, border=0.12),
    MaskStyle("surgical, white", (238, 236, 232), pleats=3, straightness=0.8, border=0.1),
    MaskStyle("respirator cup", (240, 240, 238), dome=0.5, straightness=0.25),
    MaskStyle("folded respirator with valve", (236, 236, 234), dome=0.3, seam=True, valve=True, straightness=0.2),
    MaskStyle("black cloth", (34, 32, 32), dome=0.25, seam=True, straightness=0.1),
    MaskStyle("patterned cloth", (150, 70, 60), (220, 215, 210), "checks", dome=0.2, straightness=0.3),
    MaskStyle("grey cloth", (150, 146, 142), dome=0.25, seam=True, straightness=0.15, border=0.15),
)

_SURGICAL_COLOURS: tuple[Colour, ...] = (
    (226, 190, 140), (215, 175, 110), (240, 215, 180), (200, 205, 150), (190, 200, 130), (240, 238, 235), (215, 190, 235),
    (60, 55, 55),
)  # fmt: skip
_CLOTH_COLOURS: tuple[Colour, ...] = (
    (30, 30, 30), (25, 25, 28), (60, 60, 60), (150, 150, 150), (235, 235, 235), (80, 50, 40), (50, 50, 160), (90, 110, 60),
    (170, 160, 220), (140, 160, 190), (60, 150, 210), (150, 180, 220), (110, 140, 175), (60, 85, 110), (60, 60, 190),
    (120, 60, 110), (60, 140, 140),
)  # fmt: skip
_PATTERNS: tuple[Pattern, ...] = ("stripes", "checks", "dots", "print")


def random_style(rng: np.random.Generator) -> MaskStyle:
    """One of the seven with its colours, pleats and pattern varied: what training pictures wear."""
    style = STYLES[rng.choice(len(STYLES), p=(0.2, 0.12, 0.1, 0.1, 0.14, 0.17, 0.17))]
    colour = np.array(style.colour)
    if style.pleats:
        colour = np.array(_SURGICAL_COLOURS[rng.integers(len(_SURGICAL_COLOURS))])
    elif style.name.endswith("cloth"):
        colour = np.array(_CLOTH_COLOURS[rng.integers(len(_CLOTH_COLOURS))])
        if rng.random() < 0.25:
            colour = rng.uniform(20, 235, 3)
    colour = np.clip(colour + rng.normal(0, 10, 3) + rng.normal(0, 8), 8, 250)
    second = rng.uniform(15, 245, 3)
    return replace(
        style,
        colour=_colour(colour),
        second=_colour(second),
        pattern=_PATTERNS[rng.integers(4)] if style.pattern != "plain" else "plain",
        pleats=int(rng.integers(2, 5)) if style.pleats else 0,
        valve=bool(style.valve and rng.random() < 0.7),
        seam=bool(style.seam and rng.random() < 0.8),
        dome=float(np.clip(style.dome + rng.normal(0, 0.1), 0, 0.7)),
        straightness=float(np.clip(style.straightness + rng.normal(0, 0.15), 0, 1)),
        border=float(rng.uniform(0, 0.25)),
        phase=float(rng.uniform(0, 6.28)),
        scale=float(rng.uniform(3, 14)),
    )


def _colour(values: NDArray[np.float64]) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def shade(style: MaskStyle, across: Map, down: Map) -> Map:
    """The fabric's colour, H x W x 3 float32 (0 to about 255), at H x W fabric coordinates."""
    mixed = _pattern(style, across, down)[..., None]
    colour = np.array(style.colour, np.float32) * (1 - mixed) + np.array(style.second, np.float32) * mixed
    return np.asarray(_valve(style, colour * _relief(style, across, down)[..., None], across, down), np.float32)


def _pattern(style: MaskStyle, across: Map, down: Map) -> Map:
    """How much of the second colour shows, 0 to 1."""
    a, d = across * style.scale + style.phase, down * style.scale + style.phase
    if style.pattern == "stripes":
        return np.asarray(0.5 + 0.5 * np.sign(np.sin(a * 2 + d)), np.float32)
    if style.pattern == "checks":
        return np.asarray(0.4 * (np.sin(a * 2) > 0) + 0.4 * (np.sin(d * 2) > 0), np.float32)
    if style.pattern == "dots":
        return np.asarray((np.sin(a * 2) * np.sin(d * 2)) > 0.6, np.float32)
    if style.pattern == "print":
        blobs = np.sin(a + 2 * np.sin(d * 1.3)) + np.sin(d * 1.7 + 1.5 * np.sin(a))
        return np.asarray(np.clip(blobs, 0, 1), np.float32)
    return np.zeros_like(across)


def _relief(style: MaskStyle, across: Map, down: Map) -> Map:
    """Brightness from the mask's own form: dome, pleats, seam and hem."""
    light = 1.04 - style.dome * (across**2 * 0.55 + (down - 0.4) ** 2 * 0.8)
    if style.pleats:
        fold = np.mod(down * (style.pleats + 1) + 0.1 * across**2, 1.0)
        light = light * (1 - 0.16 * np.exp(-(((fold - 0.5) / 0.09) ** 2)) + 0.03 * np.sin(fold * 6.28))
    if style.seam:
        light = light * (1 - 0.15 * np.exp(-((across / 0.035) ** 2)) + 0.05 * np.tanh(across * 4 + style.phase - 3))
    hem = np.minimum(np.minimum(down, 1 - down) * 2, 1 - np.abs(across))
    return np.asarray(light * (1 - style.border * np.exp(-((hem / 0.07) ** 2))), np.float32)


def _valve(style: MaskStyle, colour: Map, across: Map, down: Map) -> Map:
    if not style.valve:
        return colour
    radius = np.hypot(across - 0.35 * np.cos(style.phase), (down - 0.5) * 1.3)
    inside = np.clip((0.17 - radius) / 0.02, 0, 1)[..., None]
    rim = np.exp(-(((radius - 0.17) / 0.02) ** 2))[..., None]
    return np.asarray(
        colour * (1 - 0.35 * rim) * (1 - inside) + np.float32(205) * inside * (0.8 + rim * 0.2), np.float32
    )
