"""Plays clips on a sound card by ALSA's `aplay`, a child process; the clips lie in memory, ready at their volume."""

import errno
import io
import logging
import os
import select
import shutil
import time
import wave
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.backoff import backoff_s
from edged.config import SoundOutput
from edged.errors import Unavailable
from edged.files import open_regular
from edged.outputs.bell import Bell
from edged.outputs.sentences import recording
from edged.outputs.sound_plan import ALARM, CHIME, FILE, Playback, clips_of
from edged.processes.child import ChildProcess, die_with_us
from edged.worker import Worker

log = logging.getLogger(__name__)

Samples = NDArray[np.int16]
"""Frames x channels."""

RATE = 22_050
LONGEST_S = 60.0
WIDEST = 4
"""Bytes of a sample; a file's header may claim thousands."""
ALARM_S = 30.0
"""The alarm's clip; it is begun again as long as the alarm lasts."""
SILENCE_S = 0.05
SILENCE = Playback(0, "silence")
"""What shows that a card is there, or back, while there is nothing to be heard."""
CARDS = Path("/dev/snd")
PLAYING = "pcm*p"
"""Those of its names that play: a camera's microphone comes and goes with its camera, and concerns no output."""
CARDS_EVERY_S = 5.0
"""So often it is seen whether cards came or went."""
BUSY_AT_FIRST = 3
"""So often silence may find the card in use before that is a problem: another output may be at its own silence."""
LATE_S = 5.0
"""A card that has not played a clip so long after it should be over takes no samples."""
SETTLED_S = 0.3
"""A player that has had the card so long plays."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
"""Between attempts to play what could not be played."""
PLAYER = "aplay"
HAS_CARD = "Playing "
"""How the line begins that `aplay` prints once it has opened the card."""
BUSY = "another program or output uses the card"
NO_PLAYER = "aplay is not installed; run `apt install alsa-utils`"


@dataclass(frozen=True, slots=True)
class Clip:
    """A WAV file in memory that child processes may open as /dev/fd/<descriptor>."""

    descriptor: int
    seconds: float

    @classmethod
    def of(cls, samples: Samples, rate: int, volume: int) -> "Clip":
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(samples.shape[1])
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes((samples.astype(np.float32) * (volume / 100)).astype("<i2").tobytes())
        descriptor = os.memfd_create("edged-sound", os.MFD_CLOEXEC)
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(buffer.getvalue())
        return cls(descriptor, len(samples) / rate)

    def close(self) -> None:
        os.close(self.descriptor)


def load_clips(settings: SoundOutput) -> dict[str, Clip]:
    """Every clip that the output may play. Raise Unavailable, naming the file and the remedy."""
    clips: dict[str, Clip] = {}
    try:
        for name in clips_of(settings):
            clips[name] = _load(name, settings)
    except Unavailable:
        for clip in clips.values():
            clip.close()
        raise
    return clips


def _load(name: str, settings: SoundOutput) -> Clip:
    if name == ALARM:
        return Clip.of(np.tile(alarm(), (int(ALARM_S), 1)), RATE, settings.volume)
    if name == CHIME:
        return Clip.of(chime(), RATE, settings.volume)
    path = Path(settings.play) if name == FILE else recording(settings.language, name.partition("/")[2])
    return Clip.of(*read_wav(path), settings.volume)


def read_wav(path: Path) -> tuple[Samples, int]:
    """The samples and frames a second of a WAV file with PCM samples. Raise Unavailable, naming the remedy."""
    try:
        with open_regular(path) as opened, wave.open(opened) as file:
            frames, rate, width, channels = (
                file.getnframes(),
                file.getframerate(),
                file.getsampwidth(),
                file.getnchannels(),
            )
            if not (
                1 <= channels <= 2 and width <= WIDEST and 4_000 <= rate <= 192_000 and 0 < frames <= LONGEST_S * rate
            ):
                raise Unavailable(
                    f"{path}: must be a sound of at most {LONGEST_S:g} s with one or two channels; shorten or convert it"
                )
            content = file.readframes(frames)
            content = content[: len(content) // (width * channels) * width * channels]  # the file may be cut off
    except OSError as error:
        raise Unavailable(
            f"{path}: cannot be read ({error.strerror}); see that it is there, and that edged's user may read it"
        ) from None
    except (wave.Error, EOFError, RuntimeError) as error:  # the last one is for a part that is longer than the file
        why = str(error) or "it is damaged"
        raise Unavailable(
            f"{path}: is no WAV file with PCM samples ({why}); convert it: ffmpeg -i … -c:a pcm_s16le sound.wav"
        ) from None
    if not content:
        raise Unavailable(f"{path}: holds no sound, it was cut off; copy it once more")
    return _as_int16(content, width).reshape(-1, channels), rate


def _as_int16(content: bytes, width: int) -> Samples:
    """The upper 16 bits of samples of any width; those of 8 bits are unsigned."""
    if width == 1:
        return ((np.frombuffer(content, np.uint8).astype(np.int16) - 128) * 256).astype(np.int16)
    whole = np.frombuffer(content, np.uint8).reshape(-1, width)
    return np.ascontiguousarray(whole[:, -2:]).view("<i2").ravel()


def alarm() -> Samples:
    """One second of a siren between two pitches to which ears, and small loudspeakers, are most sensitive."""
    at = np.arange(RATE) / RATE
    pitch = np.where((at * 4).astype(int) % 2 == 0, 2400.0, 3100.0)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return (np.clip(2.5 * tone, -1, 1) * 32_000).astype(np.int16)[:, None]


def chime() -> Samples:
    """Two soft notes, the second one lower."""
    at = np.arange(int(0.45 * RATE)) / RATE
    notes = [np.sin(2 * np.pi * pitch * at) * np.exp(-5 * at) * np.minimum(1, at / 0.005) for pitch in (880.0, 660.0)]
    return (np.concatenate(notes) * 26_000).astype(np.int16)[:, None]


def play_silence(device: str) -> str | None:
    """Play a moment of silence; return why the card does not, with the remedy, or None."""
    if shutil.which(PLAYER) is None:
        return NO_PLAYER
    clip = _silence()
    try:
        child = ChildProcess(_command(device, clip), [clip.descriptor])
        poll, deadline = select.poll(), time.monotonic() + LATE_S
        poll.register(child, select.POLLIN)
        while (left_s := deadline - time.monotonic()) > 0 and (not poll.poll(left_s * 1000) or child.listen()):
            pass
        ended = child.end(0.5 if left_s > 0 else 0.0)
    except OSError as error:
        return f"{PLAYER} cannot be started ({error.strerror})"
    finally:
        clip.close()
    if left_s <= 0 or not ended:
        return _takes_none(device)
    return None if child.exit_code == 0 else trouble(device, list(child.said))


def _silence() -> Clip:
    return Clip.of(np.zeros((int(RATE * SILENCE_S), 1), np.int16), RATE, 0)


def _command(device: str, clip: Clip) -> list[str]:
    return die_with_us([PLAYER, "-D", device, f"/dev/fd/{clip.descriptor}"])


def _takes_none(device: str) -> str:
    return f'no sound on device = "{device}": the card takes no samples; pull it out and plug it in again, or restart the machine'


class Player(Worker):
    """One sound output's thread: a card that hangs, or is unplugged while it plays, holds up nothing else."""

    stuck_after_s = 60.0

    def __init__(self, name: str, settings: SoundOutput) -> None:
        super().__init__(f"sound {name}")
        self.problem: str | None = None
        """Why nothing is heard, with the remedy; None when all is well, as far as is known."""
        self.heard: Playback | None = None
        """The last one of which it is known that the card plays it, or has."""
        self._settings = settings
        self._bell = Bell()
        self._playback: tuple[Playback | None, bool] = None, False
        self._clips: dict[str, Clip] = {}
        self._child: ChildProcess | None = None
        self._held: ChildProcess | None = None
        """The last one whose end was no end: the card's driver holds it."""
        self._playing: Playback | None = None
        self._late_s = 0.0
        self._has_card_s: float | None = None
        """Since when the child has had the card."""
        self._failures = 0
        self._hung = False
        """The card took no samples: only a clip that is played to its end shows that it does."""
        self._failed: Playback | None = None
        """What could not be played last; None once anything could."""
        self._retry_s = 0.0
        """When what has failed is tried again; anything else is tried at once, for the card may be back."""
        self._cards: frozenset[str] | None = None
        """Those that were there last."""
        self._cards_s = 0.0

    def play(self, playback: Playback | None, *, cut: bool = False) -> None:
        """What is to be heard from now on; `cut`: end at once what is heard. Never waits."""
        if (playback, cut) != self._playback:
            self._playback = playback, cut
            self._bell.ring()

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.beat()
                if not self._clips and time.monotonic() >= self._retry_s:
                    self._load()
                self._wait()
                self._notice_cards(time.monotonic())
                self._follow(time.monotonic())
        finally:
            self._end_child()
            for clip in self._clips.values():
                clip.close()

    def _load(self) -> None:
        """Get the clips; a file that is not there, or damaged, is tried again: its stick may be plugged in, or it be mended."""
        try:
            self._clips = {**load_clips(self._settings), SILENCE.clip: _silence()}
        except Unavailable as error:
            self._retry_later(str(error), time.monotonic())
            return
        self._failures, self._retry_s, self.problem = 0, 0.0, None
        self._failed = SILENCE  # shows at the start whether there is a card, and not at the first alarm
        if shutil.which(PLAYER) is None:
            self._fail(NO_PLAYER)

    def _notice_cards(self, now_s: float) -> None:
        """When a card came or went, silence shows at once whether this output still has one."""
        if now_s < self._cards_s:
            return
        self._cards_s = now_s + CARDS_EVERY_S
        try:
            cards = frozenset(path.name for path in CARDS.iterdir() if path.match(PLAYING))
        except OSError:
            cards = frozenset()
        if self._clips and self._cards not in (None, cards):
            self._failed, self._retry_s = self._failed or SILENCE, now_s
            if self._playing == SILENCE and self._child is None:
                self._playing = None  # it was played, and is to be once more
        self._cards = cards

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if self._child is not None:
            poll.register(self._child, select.POLLIN)
        poll.poll(200)
        self._bell.clear()

    def _follow(self, now_s: float) -> None:
        playback, cut = self._playback
        if self._child is not None:
            self._attend(now_s)
        if playback is None and self._failed is not None and (self._child is None or self._playing == SILENCE):
            playback = SILENCE
        ends = playback is None and self._playing is not None and (cut or self._playing.goes_on)
        if self._child is not None and (ends or (playback is not None and playback != self._playing)):
            self._end_child()
        waits = now_s < self._retry_s and playback in (self._failed, SILENCE)
        if self._child is not None or playback is None or waits:
            return
        if playback != self._playing or playback.goes_on:
            self._begin(playback, now_s)

    def _begin(self, playback: Playback, now_s: float) -> None:
        clip = self._clips.get(playback.clip)
        if clip is None:
            return  # it is not loaded; `problem` says why
        self._playing = playback
        if self._held is not None and not self._held.has_ended():
            self._retry_later(_takes_none(self._settings.device), now_s)
            return
        self._held = None
        try:
            self._child = ChildProcess(_command(self._settings.device, clip), [clip.descriptor])
        except OSError as error:
            self._retry_later(f"{PLAYER} cannot be started ({error.strerror})", now_s)
        self._late_s, self._has_card_s = now_s + clip.seconds + LATE_S, None

    def _attend(self, now_s: float) -> None:
        """See how the child does that plays."""
        child = self._child
        if child is None:
            return
        child.listen()
        if self._has_card_s is None and any(line.startswith(HAS_CARD) for line in child.said):
            self._has_card_s = now_s
        if child.has_ended():
            self._end_child()  # which takes in what it said last
            if child.exit_code == 0:
                self._works()
            else:
                self._retry_later(trouble(self._settings.device, child.said), now_s)
        elif now_s > self._late_s:
            self._end_child()
            self._hung = True
            self._retry_later(_takes_none(self._settings.device), now_s)
        elif self._has_card_s is not None and now_s >= self._has_card_s + SETTLED_S and not self._hung:
            self._works()  # a siren is ended before its clip is: it would have a problem for ever

    def _works(self) -> None:
        if self.problem is not None:
            log.info("%s: plays again", self.name)
        self._failures, self._hung, self._failed, self.problem = 0, False, None, None
        self.heard = self._playing

    def _end_child(self) -> None:
        if self._child is not None:
            if not self._child.end(0.0):
                self._held = self._child
            self._child = None

    def _retry_later(self, problem: str, now_s: float) -> None:
        self._failures += 1
        self._retry_s = now_s + backoff_s(self._failures, FIRST_WAIT_S, LONGEST_WAIT_S)
        waits = self._playing == SILENCE and BUSY in problem and self._failures <= BUSY_AT_FIRST
        self._failed, self._playing = self._playing, None  # what is still playback then is tried again
        if not waits:
            self._fail(problem)

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            log.error("%s: %s", self.name, problem)
            self.problem = problem


def trouble(device: str, said: Collection[str]) -> str:
    """What `aplay` could not do, in one line with the remedy."""
    said = [line for line in said if not line.startswith(HAS_CARD)]
    text = " ".join(said)
    where = f'no sound on device = "{device}"'
    if text == f"{PLAYER}: {os.strerror(errno.ENOENT)}":  # as `launch.py` says it
        return NO_PLAYER
    if "busy" in text:
        return f"{where}: {BUSY}; end that, or name a device that mixes, as plughw does not"
    if "Permission denied" in text:
        return f"{where}: no permission; edged's user must be in the group audio"
    if "No such device" in text and "open error" not in text:
        return f"{where}: the card was unplugged while it played; plug it in again"
    if "open error" in text or "cannot find card" in text or "Unknown PCM" in text:
        return f"{where}: no such card; plug one in, or take a name that `aplay -L` lists"
    return f"{where}: {said[-1] if said else 'aplay ended without a word'}"
