"""Has espeak-ng speak every sentence of the built-in voice into `edged/outputs/sounds/`: `make sounds`."""

import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from edged.outputs.sentences import SENTENCES, recording
from edged.outputs.sound import read_wav

WORDS_PER_MINUTE = 155
PEAK = 120
SILENT = 600
"""Of 32,768: what is quieter at the beginning and the end is cut off."""


def speak(language: str, text: str, path: Path) -> None:
    """Half of espeak-ng's 22,050 samples a second, and 8 bits: as clear from a small loudspeaker, and a quarter of the size."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as spoken:
        command = ["espeak-ng", "-v", language, "-s", str(WORDS_PER_MINUTE), "-a", "180", "-w", spoken.name, text]
        subprocess.run(command, check=True, timeout=30)
        samples, rate = read_wav(Path(spoken.name))
    loud = np.flatnonzero(np.abs(samples[:, 0].astype(int)) > SILENT)
    whole = samples[loud[0] : loud[-1] + rate // 20, 0].astype(np.float32)
    halved = whole[: len(whole) // 2 * 2].reshape(-1, 2).mean(axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(rate // 2)
        file.writeframes((np.round(halved * (PEAK / np.abs(halved).max())) + 128).astype(np.uint8).tobytes())


if __name__ == "__main__":
    for language, sentences in SENTENCES.items():
        for name, text in sentences.items():
            speak(language, text, recording(language, name))
