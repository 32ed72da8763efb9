"""One command compares everything that reads a found face: ours, the baselines', and EfficientNet-B0 where it was trained."""

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from convert import tables
from convert.__main__ import main
from edged.errors import UsageError
from edged.inference import default_engines_dir

POSES = ["edged (both, fused)", "68 landmarks, SQPnP", "learned, crop", "heatmap", "pnp6"]


def test_both_tables_come_from_one_command(shared, tmp_path):
    """Our regressor stands in for EfficientNet-B0: the folder of its training is what matters here."""
    (tmp_path / "efficientnet-b0.onnx").write_bytes((default_engines_dir() / "landmarks.onnx").read_bytes())
    options = ["--data", shared / "data", "--efficientnet-run", tmp_path, "--faces", 2]
    result = CliRunner().invoke(main, ["compare-faces", *map(str, options)])
    assert result.exception is None, result.output
    landmarks, _, poses = result.output.partition("Head pose")
    rows = [line.split("  ")[0] for line in landmarks.splitlines() if "%  " in line]
    assert rows == ["edged, 2 passes", "edged, 1 pass", "efficientnet-b0"]
    assert "HELEN (2)" in landmarks
    assert "YouTube (2)" in landmarks
    cells = [[cell.strip() for cell in line.split("|")] for line in poses.splitlines() if line.startswith("| ")]
    assert [row[1:3] for row in cells[1:]] == [[kind, name] for kind in ("bare", "masked") for name in POSES]
    assert all(0 < float(row[7]) < 60 for row in cells[1:] if row[3] != "0.000")


def test_efficientnet_is_exported_only_where_it_has_not_been(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(tables, "export_landmarks", lambda *arguments: written.append(arguments))
    assert tables.exported(tmp_path) == tmp_path / "efficientnet-b0.onnx"
    assert written == [(tmp_path, tmp_path / "efficientnet-b0.onnx", "efficientnet-b0")]
    (tmp_path / "efficientnet-b0.onnx").touch()
    tables.exported(tmp_path)
    assert len(written) == 1


def test_a_folder_without_a_training_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="name the training's --out folder"):
        tables.exported(tmp_path)
