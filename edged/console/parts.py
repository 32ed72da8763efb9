"""What the daemon's parts, models and outputs are, in words for people who know none of their names."""

from collections.abc import Mapping
from typing import Any

from edged.console.site import Site
from edged.report.words import DISTRACTION_WORDS, DROWSINESS_WORDS, LEVEL_WORDS, STATE_WORDS

PARTS = {
    "store": "Writes the record",
    "status": "Answers this console",
    "live": "Makes live pictures",
    "thermal": "Watches the heat",
    "reporter": "Makes the daily reports",
    "analysis": "Looks at the pictures",
    "outputs": "Drives lamps, sounds and doors",
    "publisher": "Sends to the MQTT broker",
    "webhook": "Sends to the web address",
    "mail": "Sends mail",
}
"""What each thread of the daemon does."""
STANDS_STILL = "makes no progress: the device restarts it by itself within some minutes"
MODELS = {
    "detector": "Finds faces",
    "rescorer": "Looks again where it is not sure",
    "mask": "Tells how a mask is worn",
    "landmarks": "Finds eyes, nose and mouth",
    "pose": "Tells where a head is turned",
    "eyes": "Tells whether eyes are open",
    "retinaface": "Finds faces",
}
"""What each model of the manifest does; the others are variants of these, or serve comparisons."""
BACKENDS = {"onnxruntime": "on the processor", "tensorrt": "on the graphics processor (TensorRT)"}
RULES = {
    "mask_none": STATE_WORDS["none"],
    "mask_incorrect": STATE_WORDS["incorrect"],
    "mask_correct": STATE_WORDS["correct"],
    "camera_lost": "A camera sees nothing",
    "alive": "edged works",
    **{f"inattention_{state}": words for state, words in DISTRACTION_WORDS.items()},
    **{f"drowsiness_{state}": f"Drowsiness: {words}" for state, words in {**LEVEL_WORDS, **DROWSINESS_WORDS}.items()},
}
"""What a rule is called."""


def part_words(site: Site, name: str) -> str:
    """What a thread does."""
    if name.startswith("camera-"):
        return f"Takes pictures: {site.camera_name(name.removeprefix('camera-'))}"
    if name.startswith("sound "):
        return f"Plays sounds: {name.removeprefix('sound ')}"
    return PARTS.get(name, name)


def model_words(name: str) -> str:
    """What a model does."""
    return MODELS.get(name) or MODELS.get(name.partition("-")[0], name)


def backend_words(backend: str) -> str:
    """Where models run."""
    return BACKENDS.get(backend, backend)


def alarms(status: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The outputs that are on now: their name, for what, and whether somebody has acknowledged it."""
    outputs: Mapping[str, Mapping[str, Any]] = (status or {}).get("outputs", {})
    return [
        {
            "output": name,
            "acknowledged": output["acknowledged"],
            "of": ", ".join(RULES.get(r, r) for r in output["rules"]),
        }
        for name, output in outputs.items()
        if set(output["rules"]) - {"alive"} and output["kind"] in ("gpio", "sound")
    ]
