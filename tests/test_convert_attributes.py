"""What was seen of labelled faces: glasses, head cover, beard, age group."""

from pathlib import Path

import numpy as np
import pytest

from convert.data.attributes import TABLE, VALUES, Attributes
from convert.evaluation.masks import Judged
from convert.evaluation.report import mask_sections
from convert.evaluation.run import Run
from convert.evaluation.sources import BARE, PORTRAITS, Truth
from edged.errors import UsageError

HEAD = "picture,x1,y1,x2,y2,glasses,head cover,beard,age\n"
ROWS = "people/here/1.jpg,10,10,50,60,dark,cap or hat,none,adult\npeople/here/1.jpg,40,10,80,60,none,?,?,?\n"


def table_of(folder: Path, rows: str) -> Path:
    table = folder / "attributes.csv"
    table.write_text(HEAD + rows)
    return table


def test_a_face_is_known_by_its_picture_and_the_box_that_it_lies_in_most(tmp_path):
    attributes = Attributes(table_of(tmp_path, ROWS))
    picture = Path("/anywhere/people/here/1.jpg")
    all_told = {"glasses": "dark", "head cover": "cap or hat", "beard": "none", "age": "adult"}
    assert attributes.of(picture, np.array([9.6, 10.4, 52, 63])) == all_told
    assert attributes.of(picture, np.array([41.0, 10, 79, 60])) == {"glasses": "none"}, (
        "what could not be told is left out"
    )
    assert attributes.of(picture, np.array([100.0, 10, 140, 60])) == {}, "nobody looked at that face"
    assert attributes.of(Path("/anywhere/people/there/1.jpg"), np.array([10.0, 10, 50, 60])) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("dark,cap or hat,none,adult", "line 2: head cover is 'helmet', and must be one of none, cap or hat, hood"),
        ("10,10,50,60", r"line 2: the box must be four numbers"),
    ],
)
def test_a_row_that_cannot_be_understood_is_refused_in_one_line(tmp_path, wrong, said):
    right = {"dark,cap or hat,none,adult": "dark,helmet,none,adult", "10,10,50,60": "10,ten,50,60"}
    table = table_of(tmp_path, ROWS.replace(wrong, right[wrong]))
    with pytest.raises(UsageError, match=said) as refused:
        Attributes(table)
    assert str(refused.value).startswith(str(table))
    assert "\n" not in str(refused.value)


def test_the_table_that_ships_can_be_read_and_holds_every_value():
    lines = TABLE.read_text().splitlines()
    assert lines[0] + "\n" == HEAD
    assert Attributes()
    cells = [line.split(",")[5:] for line in lines[1:]]
    for column, values in enumerate(VALUES.values()):
        assert {row[column] for row in cells} == {*values, "?"}
    assert len({tuple(line.split(",")[:5]) for line in lines[1:]}) == len(cells), "one row a face"


def test_the_report_groups_a_picture_of_the_table_by_what_was_seen(tmp_path):
    picture, *corners = TABLE.read_text().splitlines()[1].split(",")[:5]
    seen = Attributes().of(tmp_path / picture, np.array(corners, np.float64))
    box = np.array([corners], np.float64)
    one = Truth(tmp_path / picture, PORTRAITS, "here", box, box[:, 3] - box[:, 1], np.array([BARE]), np.zeros(1, bool))
    nothing = np.zeros(1, np.intp)
    judged = Judged(nothing, nothing, np.array([BARE]), one.sides, np.array([[0.8, 0.1, 0.1]]))
    run = Run([one], {}, {}, "ours", [[None]], judged)
    wrong = next(section for section in mask_sections(run) if section.key == "fairness: wrong mask states")
    assert seen
    assert {column: list(wrong.record[column]["groups"]) for column in seen} == {c: [v] for c, v in seen.items()}
