"""How far apart the analysed pictures of each camera are: what is late is late by this measure, and not by a fixed time."""

from collections.abc import Callable, Mapping


class Pace:
    """Any thread may ask; the analysis thread alone says what pictures took."""

    def __init__(self, rates: Mapping[str, Callable[[], float]] | None = None) -> None:
        """`rates`: of each camera how many pictures a second it hands over at most now, as config and heat have it."""
        self._rates = rates or {}
        self._took_s: dict[str, tuple[float, float]] = {}
        """Of each camera what analysis of its last two pictures took."""

    def took(self, camera: str, seconds: float) -> None:
        """Note what a picture took."""
        self._took_s[camera] = self._took_s.get(camera, (0.0, 0.0))[1], seconds

    def interval_s(self, camera: str) -> float:
        """As its rate has it, and no less than what a slow board needs for a picture of every camera.

        Of two pictures the quicker counts: that one has stood still once does not make everybody patient.
        """
        rate = self._rates[camera]() if camera in self._rates else 0.0
        round_s = sum(min(took) for took in self._took_s.copy().values())
        return max(round_s, 1 / rate if rate > 0 else 0.0)
