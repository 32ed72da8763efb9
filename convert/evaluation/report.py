"""Puts the figures into sections: what people read, what JSON has, and which model cards get them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.data.attributes import Attributes
from convert.evaluation import detection, masks
from convert.evaluation.detection import AT, CLEAR_SIDE, HEIGHTS, DetectionFigures, match_all
from convert.evaluation.groups import FEWEST, Faces, Grouping, groups_of, rates
from convert.evaluation.masks import MaskFigures
from convert.evaluation.readers import Figure
from convert.evaluation.run import OFFLINE, TIMED_SETS, Run
from convert.evaluation.sources import BARE, CROWDS, EMPTY, MASKS, PEOPLE, PORTRAITS, SCENES, UNTOLD
from convert.record import EVALUATION, record_tables
from edged.inference import Manifest
from edged.types import JUDGED_STATES, MaskState

CORRECT = JUDGED_STATES.index(MaskState.CORRECT)


TEACHERS = {
    PEOPLE: "The boxes are what YuNet-n and RetinaFace agreed on: their own figures here tell little.",
    MASKS: "YuNet-n moved most boxes, and found faces that the sources had not labelled: its own figures here are flattered.",
}
"""Whose labels a set's are."""


@dataclass(frozen=True, eq=False)
class Section:
    """One part of the report: its title, Markdown, the JSON value under `key`, and the cards that it goes into."""

    key: str
    title: str
    markdown: str
    record: Any
    cards: tuple[str, ...] = ()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)


# --- detectors


def detector_sections(run: Run) -> list[Section]:
    """All detectors on each set, ours by source, the curve, and who is missed."""
    figures = {
        group: {name: detection.score(*run.of(name, run.chosen(group))) for name in run.finds}
        for group in SCENES
        if run.chosen(group)
    }
    sections = [_detectors(group, of, run) for group, of in figures.items()]
    sections.append(_by_source(run))
    curve = _curve(figures, run)
    return [*sections, *([curve] if curve else []), _missed(run)]


def _detectors(group: str, figures: dict[str, DetectionFigures], run: Run) -> Section:
    first = next(iter(figures.values()))
    title = f"Faces in {group}: {first.pictures} pictures, {first.faces} faces"
    record = {
        name: of.record() | {"ms_a_picture": _rounded(run.milliseconds.get((name, group)))}
        for name, of in figures.items()
    }
    cards = ("detector.md", "retinaface.md", "mtcnn.md")
    key = f"detection: {group}"
    if group == EMPTY:
        rows = [(name, of.false_finds) for name, of in figures.items()]
        return Section(key, title, table(("detector", f"false finds a picture at {AT:g}"), rows), record, cards)
    head = ["detector", "AP, IoU 0.4", "AP, IoU 0.5", *(f"AP, ≥ {height} px high" for height in HEIGHTS)]
    head += [f"recall ≥ {CLEAR_SIDE} px at {AT:g}", f"false finds a picture at {AT:g}"]
    head += [*(f"recall {band} px" for band in first.recall), "ms"]
    rows_of_all = [
        (
            name,
            of.ap,
            of.ap_strict,
            *of.ap_above.values(),
            of.recall_at,
            of.false_finds,
            *(f"{value.value:.3f}" for value in of.recall.values()),
            _ms(run.milliseconds.get((name, group))),
        )
        for name, of in figures.items()
    ]
    told = table(head, rows_of_all)
    return Section(key, title, f"{told}\n\n{TEACHERS[group]}" if group in TEACHERS else told, record, cards)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _by_source(run: Run) -> Section:
    """Our live detector on every source."""
    rows, record = [], {}
    for group in SCENES:
        for source in run.sources(group):
            of = detection.score(*run.of(run.live, run.chosen(group, source)), heights=())
            rows.append((source, of.pictures, of.faces, of.ap, of.recall_at, of.false_finds))
            record[source] = of.record()
    head = (
        "source",
        "pictures",
        "faces",
        "AP, IoU 0.4",
        f"recall ≥ {CLEAR_SIDE} px at {AT:g}",
        f"false finds at {AT:g}",
    )
    title = f"By source: {run.live}, the live camera's size"
    return Section("detection by source", title, table(head, rows), record, ("detector.md",))


def _curve(figures: dict[str, dict[str, DetectionFigures]], run: Run) -> Section | None:
    """AP over the processor's time, ours at several sizes against YuNet-n, the fastest first."""
    names = [name for name in run.finds if name.startswith(("edged, ", "YuNet-n"))]
    rows, record = [], {}
    for group in TIMED_SETS:
        timed = [name for name in names if (name, group) in run.milliseconds]
        for spent, name in sorted((run.milliseconds[name, group], name) for name in timed):
            ap = figures[group][name].ap
            bar = "#" * round(40 * ap.value) if np.isfinite(ap.value) else ""
            rows.append((group, name, f"{spent:.1f}", ap, f"`{bar}`"))
            record[f"{group}: {name}"] = {"ms_a_picture": round(spent, 2), "ap": ap.record()}
    if not rows:
        return None
    title = "AP over milliseconds of the processor's time, one thread, all in turns"
    return Section("curve", title, table(("set", "detector", "ms", "AP, IoU 0.4", ""), rows), record, ("detector.md",))


def _missed(run: Run) -> Section:
    """Which faces of at least CLEAR_SIDE our live detector does not find at AT, by group. Portraits, of which it misses none,
    would only hide who is missed in scenes.
    """
    places = [place for group in SCENES for place in run.chosen(group)]
    truths, finds = run.of(run.live, places)
    rows = [
        (number, face, outcome.found_at[face] < AT)
        for number, (truth, outcome) in enumerate(zip(truths, match_all(truths, finds), strict=True))
        for face in np.flatnonzero(outcome.wanted & (truth.sides >= CLEAR_SIDE))
    ]
    number, face, missed = np.array(rows, np.intp).reshape(-1, 3).T
    groupings = rates(_faces(run, places, number, face), missed.astype(bool))
    title = f"Who is missed: faces of at least {CLEAR_SIDE} px that {run.live} does not find at {AT:g}"
    return _grouped("fairness: missed faces", title, "missed", groupings, ("detector.md",))


def _faces(run: Run, places: Sequence[int], number: NDArray[np.intp], face: NDArray[np.intp]) -> Faces:
    """The faces to compare: the places in `places` of the pictures that they are in, and which of its faces each is."""
    attributes = Attributes()
    mine = [(places[one], which) for one, which in zip(number, face, strict=True)]
    known = [(run.truths[place], which) for place, which in mine]
    groups = groups_of(
        [run.skins[place][which] for place, which in mine],
        np.array([truth.states[which] in (BARE, UNTOLD) for truth, which in known], bool),
        np.array([truth.sides[which] for truth, which in known], np.float64),
        [truth.source for truth, _ in known],
        [attributes.of(truth.path, truth.boxes[which]) for truth, which in known],
    )
    return Faces(len(places), number, groups)


def _grouped(key: str, title: str, badly: str, groupings: Sequence[Grouping], cards: tuple[str, ...]) -> Section:
    rows: list[Sequence[object]] = []
    for one in groupings:
        rows += [(one.kind, group.name, group.faces, group.rate) for group in one.groups]
        if one.worst:
            rows.append((one.kind, f"**{one.worst} over {one.best}**", "", one.apart))
    note = (
        f"Groups of fewer than {FEWEST} faces are neither the worst nor the best. "
        "Skin is measured in the picture, its light included. Glasses, head cover, beard (of bare faces) and age are one "
        "viewer's labels of faces from 24 px on, with some errors: `convert/data/attributes.py`."
    )
    markdown = f"{table(('grouping', 'group', 'faces', badly), rows)}\n\n{note}"
    return Section(key, title, markdown, {one.kind: one.record() for one in groupings}, cards)


# --- masks


def mask_sections(run: Run) -> list[Section]:
    """The mask state by set and source, and whom it wrongs."""
    rows: list[tuple[str, MaskFigures]] = []
    for group in (CROWDS, MASKS, PEOPLE, PORTRAITS):
        sources = run.sources(group)
        for source in [None, *(sources if len(sources) > 1 else ())]:
            places = run.chosen(group, source)
            judged = run.judged_in(places)
            if len(judged.states):
                rows.append((group if source is None else source, masks.score(judged, len(places))))
    head = ["set or source", "correct / incorrect / none", "macro-F1", *(f"recall {state}" for state in JUDGED_STATES)]
    body = [
        (
            name,
            " / ".join(map(str, of.confusion.sum(axis=1).tolist())),
            of.macro_f1,
            *(of.recall.get(str(state), "–") for state in JUDGED_STATES),
            of.sure_wrong,
            of.calibration,
        )
        for name, of in rows
    ]
    title = f"Mask state of faces from {masks.SMALLEST} px on, found by {OFFLINE}; macro-F1 over the states that a set holds"
    record = {name: of.record() for name, of in rows}
    sections = [
        Section(
            "mask",
            title,
            table([*head, f"wrong, told with ≥ {masks.SURE:g}", "calibration error"], body),
            record,
            ("mask.md",),
        )
    ]
    sections += [_confusion(name, of) for name, of in rows if name in (CROWDS, MASKS, PEOPLE, PORTRAITS)]
    return [*sections, *_wronged(run)]


def _confusion(name: str, of: MaskFigures) -> Section:
    rows = [(state, *row) for state, row in zip(JUDGED_STATES, of.confusion.tolist(), strict=True)]
    head = ("truth \\ answer", *map(str, JUDGED_STATES))
    return Section(
        f"mask confusion: {name}", f"Answers on {name}", table(head, rows), of.confusion.tolist(), ("mask.md",)
    )


def _wronged(run: Run) -> list[Section]:
    """Wrong answers, by group: at all, good masks called a violation, and violations let pass."""
    judged = run.judged
    assert judged is not None  # noqa: S101 - asked only where masks were judged
    faces = _faces(run, range(len(run.truths)), judged.picture, judged.face)
    worn = judged.states == CORRECT
    wrong, called_correct = judged.answers != judged.states, judged.answers == CORRECT
    return [
        _grouped(f"fairness: {key}", title, badly, rates(faces, cases, counted), ("mask.md",))
        for key, title, badly, cases, counted in (
            ("wrong mask states", "Whose mask state is told wrongly", "wrong", wrong, np.ones(len(worn), bool)),
            ("accused", "Who is accused with a mask worn well", "accused", ~called_correct, worn),
            ("let pass", "Whose violation is called correct", "let pass", called_correct, ~worn),
        )
    ]


# --- readers


def reader_section(key: str, title: str, figures: Sequence[Figure], cards: tuple[str, ...]) -> Section:
    """Landmarks, pose or eyes."""
    rows = [(one.of, one.name, one.unit, one.faces, one.clusters, one.estimate) for one in figures]
    head = ("set", "figure", "unit", "faces", "resampled", "value")
    return Section(key, title, table(head, rows), [one.record() for one in figures], cards)


# --- what becomes of it


def markdown(sections: Sequence[Section]) -> str:
    """The whole report, for people."""
    return "\n\n".join(f"### {section.title}\n\n{section.markdown}" for section in sections)


def write_cards(sections: Sequence[Section], manifest: Manifest, part: str) -> list[Path]:
    """Write each section into the marked block of its cards, and return these. Raise UsageError where a card has none."""
    cards = sorted({card for section in sections for card in section.cards})
    written = []
    for card in cards:
        hashes = ", ".join(
            f"`{entry.name}` {entry.sha256[:12]}…"
            for entry in manifest.entries.values()
            if entry.card == card and entry.sha256
        )
        mine = [section for section in sections if card in section.cards]
        intro = f"`python -m convert evaluate`, {part}; 95 % intervals by resampling pictures. Measured on {hashes}."
        record_tables(manifest.directory / card, f"{intro}\n\n{markdown(mine)}", EVALUATION)
        written.append(manifest.directory / card)
    return written
