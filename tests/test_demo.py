"""The demo, with the real daemon and a subscriber."""

from pathlib import Path

from support.daemon import needs_models, write_clip

from edged.demo.play import play


@needs_models
def test_it_may_end_early_and_however_slowly_the_daemon_starts_there_is_a_report(tmp_path: Path) -> None:
    said: list[str] = []
    play(write_clip(tmp_path / "clip.mp4"), tmp_path / "day.html", lambda line, _: said.append(line), seconds=0.05)
    assert [line.strip() for line in said if line.startswith("  · ")] == ["· demo is online", "· demo is offline"]
    assert "<html" in (tmp_path / "day.html").read_text()
