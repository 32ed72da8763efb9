"""Our own labels for faces that their data set calls something else."""

from pathlib import Path

import numpy as np
import pytest

from convert.data.coco import CORRECT, INCORRECT, NONE
from convert.data.reviewed import STATES, TABLE, Reviewed

HEAD = "picture,x,y,state\n"


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([x1, y1, x2, y2], np.float32)


@pytest.fixture
def reviewed(tmp_path: Path) -> Reviewed:
    table = tmp_path / "reviewed.csv"
    table.write_text(
        HEAD + "scenes/1.jpg,50,40,none\nscenes/1.jpg,90,40,leave out\ncrops/web/correct/2.jpg,,,incorrect\n"
    )
    return Reviewed(table)


def test_a_face_is_known_by_a_point_inside_it(reviewed):
    picture = Path("/anywhere/scenes/1.jpg")
    assert reviewed.state(picture, box(40, 30, 60, 50), CORRECT) == NONE
    assert reviewed.state(picture, box(80, 30, 100, 50), CORRECT) is None
    assert reviewed.state(picture, box(0, 0, 20, 20), CORRECT) == CORRECT


def test_a_picture_of_one_face_needs_no_place(reviewed):
    assert reviewed.state(Path("/data/crops/web/correct/2.jpg"), None, CORRECT) == INCORRECT
    assert reviewed.state(Path("/data/crops/web/none/2.jpg"), None, NONE) == NONE


def test_every_line_of_the_table_says_something_known():
    lines = TABLE.read_text().splitlines()[1:]
    assert len(lines) == len(set(lines)) > 100
    assert {line.split(",")[3] for line in lines} <= set(STATES)


def test_the_tables_pictures_exist(shared):
    for line in TABLE.read_text().splitlines()[1:]:
        assert (shared / "data" / line.split(",")[0]).is_file()
