"""Sound by ALSA's own `aplay` on its `null` and `file` devices: what is heard, when it ends, and what goes wrong."""

import logging
import shutil
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from support.alsa import heard_in, pluggable
from support.mosquitto import PATIENCE_S, until

from edged.config import SoundOutput
from edged.errors import Unavailable
from edged.outputs.examine import examine
from edged.outputs.sentences import FOLDER, SENTENCES, recording
from edged.outputs.sound import SILENCE, Player, alarm, chime, load_clips, play_silence, read_wav, trouble
from edged.outputs.sound_plan import Playback, clips_of
from edged.processes.child import ChildProcess

needs_aplay = pytest.mark.skipif(shutil.which("aplay") is None, reason="needs alsa-utils: `apt install alsa-utils`")


def settings(device: str = "null", **keys) -> SoundOutput:
    return SoundOutput.model_validate({"kind": "sound", "when": ["drowsiness_notice"], "device": device, **keys})


def to_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """ALSA's device that writes what is played into a file, and plays it nowhere. It is as fast as it can be."""
    return heard_in(path, monkeypatch.setenv)


class Playing:
    """A player that runs until the end of the block."""

    def __init__(self, config: SoundOutput) -> None:
        self.player = Player("voice", config)

    def __enter__(self) -> Player:
        self.player.start()
        return self.player

    def __exit__(self, *_: object) -> None:
        assert self.player.stop(20)


def endless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips that play for as long as nobody ends them."""
    (folder / "aplay").write_text("#!/bin/sh\nexec sleep 60\n")
    (folder / "aplay").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def samples(path: Path) -> np.ndarray:
    return np.fromfile(path, "<i2") if path.exists() else np.zeros(0, np.int16)


def pitch(sound: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound.astype(float)))
    return float(np.fft.rfftfreq(len(sound), 1 / rate)[int(spectrum.argmax())])


# --- what there is to hear


@pytest.mark.parametrize("language", SENTENCES)
def test_every_sentence_is_there_in_every_language_short_and_loud_enough(language):
    assert SENTENCES[language].keys() == SENTENCES["en"].keys()
    for sentence in SENTENCES[language]:
        sound, rate = read_wav(recording(language, sentence))
        assert 0.6 <= len(sound) / rate <= 5
        assert np.abs(sound).max() > 25_000


def test_the_sentences_take_less_than_a_megabyte_and_nothing_else_is_there():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert len(files) == sum(map(len, SENTENCES.values()))
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_the_tones_are_heard_as_they_are_meant():
    assert round(pitch(chime()[:9000, 0], 22_050), -1) == 880
    assert 2300 < pitch(alarm()[:5000, 0], 22_050) < 2500
    assert np.sqrt(np.mean(alarm().astype(float) ** 2)) > 20_000  # louder than any sine


def test_a_level_brings_the_clips_of_the_graver_ones():
    assert clips_of(settings()) == {"chime", "voice/drowsiness", "alarm"}
    assert clips_of(settings(when=["mask_none", "mask_incorrect", "alive"])) == {
        "voice/mask_none", "voice/mask_incorrect", "chime",
    }  # fmt: skip


@pytest.mark.parametrize(("width", "channels", "rate"), [(1, 1, 8000), (2, 2, 48_000), (3, 1, 44_100), (4, 1, 16_000)])
def test_wav_files_of_any_width_are_read(tmp_path, width, channels, rate):
    path = tmp_path / "own.wav"
    tone = np.sin(2 * np.pi * 500 * np.arange(rate) / rate) * 0.5
    whole = (tone * (2 ** (8 * width - 1) - 1)).astype(np.int64) + (128 if width == 1 else 0)
    one = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(np.repeat(one, channels, axis=0).tobytes())
    sound, read_rate = read_wav(path)
    assert (sound.shape, read_rate) == ((rate, channels), rate)
    assert np.abs(sound[:, 0] / 32_768 - tone).max() < 0.01


def test_what_is_no_wav_is_told_with_the_remedy(tmp_path):
    def problem(content: bytes | None) -> str:
        path = tmp_path / "own.wav"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Unavailable) as caught:
            read_wav(path)
        return str(caught.value).removeprefix(f"{path}: ")

    assert (
        problem(None)
        == "cannot be read (No such file or directory); see that it is there, and that edged's user may read it"
    )
    for content in (b"", b"ID3 is an MP3", b"RIFF\0\0\0\0WAVE"):
        assert problem(content).startswith("is no WAV file with PCM samples (")
        assert problem(content).endswith("convert it: ffmpeg -i … -c:a pcm_s16le sound.wav")
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(b"\x80" * 8000 * 61)
    assert problem((tmp_path / "long.wav").read_bytes()) == (
        "must be a sound of at most 60 s with one or two channels; shorten or convert it"
    )


# --- playing


@needs_aplay
def test_a_clip_is_played_once_at_its_volume_and_another_serial_plays_it_again(tmp_path, monkeypatch):
    heard = tmp_path / "heard"
    with Playing(settings(to_file(heard, monkeypatch), volume=50)) as player:
        player.play(Playback(1, "chime"))
        assert until(lambda: len(samples(heard)) >= len(chime()) and player._child is None)
        once = samples(heard)
        assert np.array_equal(once[: len(chime())], (chime()[:, 0].astype(np.float32) * 0.5).astype(np.int16))
        assert not once[len(chime()) :].any()  # ALSA fills its last period with silence
        time.sleep(0.3)
        assert player._child is None
        heard.unlink()
        player.play(Playback(2, "chime"))
        assert until(lambda: len(samples(heard)) == len(once))
        assert player.problem is None


@needs_aplay
def test_a_file_that_comes_later_or_is_mended_is_heard_then(tmp_path, monkeypatch, caplog):
    heard, own = tmp_path / "heard", tmp_path / "own.wav"
    with Playing(settings(to_file(heard, monkeypatch), play=str(own))) as player:
        player.play(Playback(1, "file"))
        assert until(lambda: "cannot be read" in (player.problem or ""))
        own.write_bytes(recording("en", "mask_none").read_bytes()[:20])
        assert until(lambda: "is no WAV file" in (player.problem or ""))
        own.write_bytes(recording("en", "mask_none").read_bytes())
        assert until(lambda: len(samples(heard)) > 0)
        assert player.problem is None
    assert len(caplog.records) <= 3


def test_clips_of_which_one_cannot_be_loaded_leave_nothing_open(monkeypatch):
    def only_some(language, sentence):
        return recording(language, sentence) if sentence == "mask_none" else Path("/nowhere")

    monkeypatch.setattr("edged.outputs.sound.recording", only_some)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(Unavailable, match="/nowhere"):
            load_clips(settings(play="voice", when=["mask_none", "mask_incorrect", "camera_lost", "alive"]))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


@needs_aplay
def test_the_siren_goes_on_until_it_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("edged.outputs.sound.ALARM_S", 1.0)
    with Playing(settings(to_file(tmp_path / "heard", monkeypatch))) as player:
        begun: list[int] = []
        begin = player._begin
        player._begin = lambda *args: (begun.append(1), begin(*args))[1]  # type: ignore[method-assign]
        player.play(Playback(1, "alarm"))
        assert until(lambda: len(begun) >= 3)
        player.play(None)
        assert until(lambda: player._child is None)
        so_far = len(begun)
        time.sleep(0.5)
        assert len(begun) == so_far


def test_a_siren_ends_at_once_a_sentence_at_its_end_unless_somebody_acknowledges(tmp_path, monkeypatch):
    endless(tmp_path, monkeypatch)
    with Playing(settings()) as player:
        for clip, ends in (("alarm", True), ("voice/drowsiness", False)):
            player.play(Playback(len(clip), clip))
            assert until(lambda clip=clip: player._child is not None and player._playing == Playback(len(clip), clip))
            player.play(None)
            assert until(lambda: player._child is None, PATIENCE_S if ends else 1.0) is ends
        player.play(None, cut=True)
        assert until(lambda: player._child is None)


@needs_aplay
def test_a_card_that_is_not_there_is_told_once_and_heard_again_when_it_is(caplog, monkeypatch):
    monkeypatch.setattr("edged.outputs.sound.LONGEST_WAIT_S", 0.2)
    with Playing(settings("hw:CARD=Nowhere")) as player, caplog.at_level(logging.ERROR):
        player.play(Playback(1, "chime"))
        assert until(lambda: player.problem is not None)
        assert player.problem == (
            'no sound on device = "hw:CARD=Nowhere": no such card; plug one in, or take a name that `aplay -L` lists'
        )
        assert until(lambda: player._failures >= 3)
        assert len(caplog.records) == 1
        player._settings = settings("null")
        assert until(lambda: player.problem is None)


def test_a_siren_that_is_heard_again_has_no_problem_any_more(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("edged.outputs.sound.LONGEST_WAIT_S", 0.2)
    card = pluggable(tmp_path, monkeypatch.setenv)
    with Playing(settings()) as player, caplog.at_level(logging.INFO):
        player.play(Playback(1, "alarm"))
        assert until(lambda: "no such card" in (player.problem or ""))
        assert player.heard is None
        card.touch()
        assert until(lambda: player.problem is None)
        assert player.heard == Playback(1, "alarm")
        assert player._child is not None, "it goes on"
        assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_card_that_is_missing_at_the_start_is_told_then_and_used_when_it_comes(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("edged.outputs.sound.LONGEST_WAIT_S", 0.2)
    card = pluggable(tmp_path, monkeypatch.setenv)
    with Playing(settings()) as player, caplog.at_level(logging.INFO):
        assert until(lambda: "no such card; plug one in" in (player.problem or ""))
        card.touch()
        assert until(lambda: player.problem is None)
        player.play(Playback(1, "alarm"))
        assert until(lambda: player.heard == Playback(1, "alarm"))
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_card_that_is_pulled_out_while_nothing_is_to_be_heard_is_told_then(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("edged.outputs.sound.LONGEST_WAIT_S", 0.2)
    monkeypatch.setattr("edged.outputs.sound.CARDS_EVERY_S", 0.1)
    monkeypatch.setattr("edged.outputs.sound.CARDS", tmp_path / "snd")
    (tmp_path / "snd").mkdir()
    for name in ("controlC0", "pcmC0D0p"):
        (tmp_path / "snd" / name).touch()
    card = pluggable(tmp_path, monkeypatch.setenv)
    card.touch()
    with Playing(settings()) as player, caplog.at_level(logging.INFO):
        assert until(lambda: player.heard == SILENCE and player._failed is None)
        for path in (card, tmp_path / "snd" / "pcmC0D0p"):
            path.unlink()
        assert until(lambda: "no such card" in (player.problem or ""))
        card.touch()
        assert until(lambda: player.problem is None)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_cameras_microphone_that_comes_and_goes_wakes_no_speaker(tmp_path, monkeypatch):
    """A USB camera that is reset brings and takes one each time."""
    monkeypatch.setattr("edged.outputs.sound.CARDS_EVERY_S", 0.05)
    monkeypatch.setattr("edged.outputs.sound.CARDS", tmp_path / "snd")
    (tmp_path / "snd").mkdir()
    (tmp_path / "snd" / "pcmC0D0p").touch()
    pluggable(tmp_path, monkeypatch.setenv).touch()
    with Playing(settings()) as player:
        assert until(lambda: player.heard == SILENCE and player._failed is None)
        begun: list[Playback] = []
        begin = player._begin
        player._begin = lambda playback, now_s: (begun.append(playback), begin(playback, now_s))[1]  # type: ignore[method-assign]
        for name in ("controlC1", "pcmC1D0c"):
            (tmp_path / "snd" / name).touch()
        time.sleep(1)
        assert begun == []
        (tmp_path / "snd" / "pcmC2D0p").touch()
        assert until(lambda: begun == [SILENCE])


def test_two_outputs_on_a_card_that_does_not_mix_are_no_problem_while_they_are_silent(tmp_path, caplog, monkeypatch):
    """The second one finds the card in use by the silence of the first."""
    monkeypatch.setattr("edged.outputs.sound.FIRST_WAIT_S", 0.1)
    (tmp_path / "aplay").write_text(
        f"""#!/bin/sh
[ -e '{tmp_path}/tried' ] || {{
    touch '{tmp_path}/tried'
    echo 'aplay: main:850: audio open error: Device or resource busy' >&2
    exit 1
}}
touch '{tmp_path}/played'
"""
    )
    (tmp_path / "aplay").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with Playing(settings()) as player:
        assert until((tmp_path / "played").exists)
        assert until(lambda: player._failed is None)
        (tmp_path / "aplay").write_text(
            "#!/bin/sh\necho 'aplay: audio open error: Device or resource busy' >&2; exit 1\n"
        )
        player.play(Playback(1, "alarm"))
        assert until(lambda: "another program or output uses the card" in (player.problem or ""))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("cut", [True, False])
def test_a_card_that_is_back_is_no_problem_any_more_although_nothing_is_to_be_heard(tmp_path, caplog, monkeypatch, cut):
    monkeypatch.setattr("edged.outputs.sound.LONGEST_WAIT_S", 0.2)
    card = pluggable(tmp_path, monkeypatch.setenv)
    with Playing(settings()) as player, caplog.at_level(logging.INFO):
        player.play(Playback(1, "alarm"))
        assert until(lambda: "no such card" in (player.problem or ""))
        player.play(None, cut=cut)
        failures = player._failures
        assert until(lambda: player._failures >= failures + 3)
        card.touch()
        assert until(lambda: player.problem is None)
        assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
        player.play(Playback(2, "alarm"))
        assert until(lambda: player.heard == Playback(2, "alarm"))


def test_what_aplay_says_with_its_last_breath_is_told(tmp_path, monkeypatch):
    """It may say it, and end, between the moment it is listened to and the moment it is looked after."""

    class Late(ChildProcess):
        listened = 0

        def listen(self) -> bool:
            self.listened += 1
            return self.listened == 1 or super().listen()

        def has_ended(self) -> bool:
            self._process.wait(30)
            return super().has_ended()

    monkeypatch.setattr("edged.outputs.sound.ChildProcess", Late)
    pluggable(tmp_path, monkeypatch.setenv)
    with Playing(settings()) as player:
        player.play(Playback(1, "alarm"))
        assert until(lambda: player.problem is not None)
        assert "no such card" in player.problem


def test_a_player_that_its_driver_holds_is_the_only_one_until_it_has_ended(tmp_path, caplog, monkeypatch):
    """Else each alarm would leave one more behind, until no process can be started any more."""
    begun: list[ChildProcess] = []
    is_held = True

    class Held(ChildProcess):
        def __init__(self, *args) -> None:
            super().__init__(*args)
            begun.append(self)

        def end(self, patience_s: float) -> bool:
            return super().end(patience_s) and not is_held

        def has_ended(self) -> bool:
            return super().has_ended() and not is_held

    monkeypatch.setattr("edged.outputs.sound.ChildProcess", Held)
    monkeypatch.setattr("edged.outputs.sound.LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr("edged.processes.child.STARVED_S", 0.0)
    pluggable(tmp_path, monkeypatch.setenv).touch()
    with Playing(settings()) as player, caplog.at_level(logging.ERROR):
        for number in range(1, 6):
            player.play(Playback(number, "alarm"))
            assert until(
                lambda number=number: player._playing == Playback(number, "alarm") or player._failures >= number - 1
            )
        assert until(lambda: player._failures >= 8)
        assert ["takes no samples" in line for line in caplog.messages] == [True]
        assert len(begun) == 1
        is_held = False
        assert until(lambda: player.problem is None)
        assert len(begun) == 2


def test_a_new_alarm_is_tried_at_once_however_long_the_card_has_been_away(tmp_path, monkeypatch):
    monkeypatch.setattr("edged.outputs.sound.FIRST_WAIT_S", 1000.0)
    monkeypatch.setattr("edged.outputs.sound.LONGEST_WAIT_S", 1000.0)
    card = pluggable(tmp_path, monkeypatch.setenv)
    with Playing(settings()) as player:
        player.play(Playback(1, "alarm"))
        assert until(lambda: player.problem is not None)
        card.touch()
        player.play(Playback(2, "alarm"))
        assert until(lambda: player.problem is None)


def test_a_card_that_takes_no_samples_is_told_once_however_often_it_opens(tmp_path, caplog, monkeypatch):
    for name, seconds in (("LATE_S", 0.6), ("ALARM_S", 1.0), ("LONGEST_WAIT_S", 0.1)):
        monkeypatch.setattr(f"edged.outputs.sound.{name}", seconds)
    pluggable(tmp_path, monkeypatch.setenv).touch()
    with Playing(settings()) as player, caplog.at_level(logging.INFO):
        player.play(Playback(1, "alarm"))
        assert until(lambda: player._failures >= 3)
        assert ["takes no samples" in record.message for record in caplog.records] == [True]


@needs_aplay
def test_a_wav_that_is_none_leaves_the_player_standing(tmp_path):
    with Playing(settings(play=str(tmp_path / "none.wav"))) as player:
        player.play(Playback(1, "file"))
        assert until(lambda: player.problem is not None)
        assert "none.wav: cannot be read" in player.problem
        assert player.is_alive()


@pytest.mark.parametrize("held", [True, False])
def test_a_card_on_which_the_daemon_plays_is_no_problem_of_the_card(tmp_path, monkeypatch, held):
    pluggable(tmp_path, monkeypatch.setenv)
    player = tmp_path / "programs" / "aplay"
    player.write_text("#!/bin/sh\necho 'aplay: main:850: audio open error: Device or resource busy' >&2\nexit 1\n")
    (one,) = examine({"voice": settings("plughw:CARD=Device")}, held=held)
    assert (one.problem is None) is held
    assert "uses the card; end that" in (one.problem or "") or "while the running daemon plays on it" in one.line


def test_without_aplay_the_remedy_is_to_install_it(monkeypatch):
    monkeypatch.setattr("edged.outputs.sound.shutil.which", lambda _: None)
    with Playing(settings()) as player:
        assert until(lambda: player.problem == "aplay is not installed; run `apt install alsa-utils`")
    assert play_silence("null") == "aplay is not installed; run `apt install alsa-utils`"


@needs_aplay
def test_a_card_that_takes_no_samples_is_given_up(tmp_path, monkeypatch):
    endless(tmp_path, monkeypatch)
    monkeypatch.setattr("edged.outputs.sound.LATE_S", 0.2)
    with Playing(settings()) as player:
        player.play(Playback(1, "chime"))
        assert until(lambda: player.problem is not None)
        assert "the card takes no samples" in player.problem
    assert "the card takes no samples" in (play_silence("null") or "")


@pytest.mark.parametrize(
    ("said", "words"),
    [(["aplay: main:850: audio open error: Device or resource busy"], "another program or output uses the card"),
     (["aplay: main:850: audio open error: Permission denied"], "must be in the group audio"),
     (["aplay: pcm_write:2127: write error: No such device"], "was unplugged while it played"),
     (["ALSA lib confmisc.c:855:(parse_card) cannot find card '0'"], "no such card"),
     (["aplay: No such file or directory"], "aplay is not installed; run"),
     (["something else"], "something else"), ([], "ended without a word")],
)  # fmt: skip
def test_what_aplay_says_becomes_a_line_with_the_remedy(said, words):
    assert words in trouble("default", said)
