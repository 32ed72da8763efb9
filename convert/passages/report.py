"""The table that `python -m convert passages` prints: one row a recording."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from convert.passages.play import play
from convert.passages.score import Score, score
from convert.passages.truth import load_truth
from edged.assembly import EVERYTHING, load_models
from edged.config import Config
from edged.errors import ConfigError

NAME_WIDTH = 44


@dataclass(frozen=True, slots=True)
class Row:
    """One recording's counts, or a sum."""

    name: str
    remarks: tuple[str, ...]
    score: Score
    fps: float | None = None
    """At how many pictures a second it was played; None: as many as a camera has by default."""

    def line(self) -> str:
        counts = (f"{getattr(self.score, one.name):>{len(one.name) + 2}}" for one in fields(Score))
        return self.name.ljust(NAME_WIDTH) + "".join(counts)


def header() -> str:
    """The names of the columns; see `Score`."""
    return " " * NAME_WIDTH + "".join(f"  {one.name}" for one in fields(Score))


def play_all(
    clips: Path, shared: Path, names: Sequence[str] = (), rates: Sequence[float | None] = (None,)
) -> Iterator[Row]:
    """Play every recording whose truth lies in `clips` (of `names` only, if any) at each of these rates (see `play`), and count.

    Raise ConfigError when one is not there, is not known, or its truth cannot be read.
    """
    paths = {path.stem: path for path in sorted(clips.glob("*.toml"))}
    unknown = [name for name in names if name not in paths]
    if unknown or not paths:
        raise ConfigError(f"{clips}: no truth of {', '.join(unknown) or 'anything'}; there are {', '.join(paths)}")
    config = Config()
    models = load_models(config.models, EVERYTHING)
    for fps in rates:
        for name in names or paths:
            truth = load_truth(paths[name])
            scored = score(truth, play(shared / truth.clip, truth.profile, config, models, fps=fps))
            yield Row(_named(name, fps), scored.remarks, scored.score, fps)


def totals(rows: Sequence[Row]) -> Iterator[Row]:
    """The sum at each rate, and the sum of all where there are several."""
    rates = list(dict.fromkeys(row.fps for row in rows))
    for fps in rates:
        yield _sum(_named("all", fps), [row for row in rows if row.fps == fps])
    if len(rates) > 1:
        yield _sum("all", rows)


def _named(name: str, fps: float | None) -> str:
    return name if fps is None else f"{name} {fps:g}/s"


def _sum(name: str, rows: Sequence[Row]) -> Row:
    return Row(name, (), sum((row.score for row in rows), Score()))
