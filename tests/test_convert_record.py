"""Recording an export changes its own entry and tables, and nothing else."""

import pytest

from convert.record import FIGURES, HALF_PRECISION, record_model, record_tables
from edged.errors import UsageError
from edged.inference import default_engines_dir
from edged.toml import load_toml

BEGIN, END = FIGURES

MANIFEST = """# comment
[model.one]
sha256 = "aa"
[model.one.figures]
speed = 1

[model.one-more]
sha256 = "bb"
[model.one-more.figures]
speed = 2
"""


@pytest.mark.parametrize("name", ["one", "one-more"])
def test_only_the_named_entry_changes(tmp_path, name):
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    before = load_toml(path)["model"]
    record_model(path, name, "cc", {"speed": 3.5, "new": 0.25})
    after = load_toml(path)["model"]
    assert after[name] == {"sha256": "cc", "figures": {"speed": 3.5, "new": 0.25}}
    other = ({"one", "one-more"} - {name}).pop()
    assert after[other] == before[other]
    assert path.read_text().startswith("# comment\n")


def test_an_unknown_entry_is_refused(tmp_path):
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    with pytest.raises(UsageError, match="no entry"):
        record_model(path, "two", "cc", {})


def test_an_entry_whose_tables_are_apart_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "manifest.toml"
    apart = MANIFEST + "\n[model.one.inputs]\npicture = 1\n"
    path.write_text(apart)
    with pytest.raises(UsageError, match="do not stand together"):
        record_model(path, "one", "cc", {"speed": 3.5})
    assert path.read_text() == apart


def test_every_model_of_ours_can_be_recorded(tmp_path):
    path = tmp_path / "manifest.toml"
    path.write_text((default_engines_dir() / "manifest.toml").read_text())
    before = load_toml(path)["model"]
    ours = [name for name, entry in before.items() if "sha256" in entry]
    for name in ours:
        record_model(path, name, "cc", {"tried": 1})
    after = load_toml(path)["model"]
    for name in ours:
        assert after[name] == before[name] | {"sha256": "cc", "figures": before[name].get("figures", {}) | {"tried": 1}}


def test_tables_stand_between_the_marks(tmp_path):
    card = tmp_path / "card.md"
    card.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    record_tables(card, "new")
    record_tables(card, "newer\n")
    assert card.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"
    card.write_text("no marks")
    with pytest.raises(UsageError, match="no lines"):
        record_tables(card, "new")


def test_the_two_kinds_of_figures_leave_each_other_alone(tmp_path):
    card = tmp_path / "card.md"
    half = HALF_PRECISION
    card.write_text(f"{BEGIN}\nexport\n{END}\nbetween\n{half[0]}\n{half[1]}\n")
    record_tables(card, "in FP16", half)
    assert card.read_text() == f"{BEGIN}\nexport\n{END}\nbetween\n{half[0]}\n\nin FP16\n\n{half[1]}\n"
    record_tables(card, "exported anew")
    assert card.read_text().count("in FP16") == card.read_text().count("exported anew") == 1
