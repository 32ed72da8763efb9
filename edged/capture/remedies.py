"""What a person should do about a camera, from what the programs that take its pictures say when they fail."""

import re
from collections.abc import Iterable

GSTREAMER = (
    (r'no element "?(nv\w+)', r"GStreamer has no {0}: this is no Jetson, or `apt install nvidia-l4t-gstreamer` is needed"),
    (r'no element "?(\w+)', r"GStreamer has no {0}; `gst-inspect-1.0 {0}` and `apt search gstreamer1.0-plugins`"),
    (r"No cameras available", "no CSI camera is found; switch the board off and seat the ribbon anew, contacts to the board"),
    (r"(?i)invalid camera device specified", "there is no CSI camera of this number; `edged cameras` lists what is attached"),
    (r"(?i)failed to create capturesession", "the camera service gives no session: another program uses the camera, or "
     "`systemctl restart nvargus-daemon` is needed"),
    (r"(?i)cannot connect to|argus.*socket|nvargus-daemon", "the camera service does not answer; "
     "`systemctl restart nvargus-daemon`"),
    (r"(?i)device or resource busy|is busy", "the camera is in use by another program"),
    (r"(?i)permission denied", "no permission; add edged's user to the group `video`"),
    (r"(?i)not.negotiated|could not link|can.t handle caps", "the camera gives no such size or rate; `edged cameras` lists them"),
    (r"(?i)erroneous pipeline|syntax error", "the pipeline is not one that GStreamer understands; try it with gst-launch-1.0"),
    (r"(?i)no such file|cannot identify device|could not open", "no such camera; `edged cameras` lists what is attached"),
)  # fmt: skip
STREAM = (
    (r"digest algorithms: (.+)", "wants the password told with a digest that edged cannot make (it offers {0}, and takes the "
     "last one for its wish); allow MD5 alone, or basic, in the camera's settings"),
    (r"401 ", "wrong user or password; see credentials_file"),
    (r"403 ", "this user may not see the stream"),
    (r"404 |45[14] ", "no such stream at this address; check the part after the host"),
    (r"Connection refused", "nothing listens at this address and port; check both, and that RTSP is on"),
    (r"(?i)no route to host|network is unreachable|timed out", "the address does not answer; check power, cable and network"),
    (r"(?i)failed to resolve hostname", "this name is not known in the network; use the camera's address"),
    (r"(?i)invalid data found|could not find codec", "sends no video that can be decoded; set the camera to H.264"),
)  # fmt: skip

REFUSED = r"method SETUP failed: 461 "
STREAM_TRANSPORT = {
    "auto": (
        (
            rf"{REFUSED}[\s\S]*{REFUSED}",
            "the camera gives its pictures neither over TCP nor over UDP; see its settings",
        ),
    ),
    "tcp": ((REFUSED, 'the camera refuses TCP; set transport = "auto" or "udp"'),),
    "udp": ((REFUSED, 'the camera refuses UDP; set transport = "auto" or "tcp"'),),
}
"""By what was asked for, after those of `STREAM`: with "auto" one refusal is followed by the other way, and means nothing."""

Remedies = tuple[tuple[str, str], ...]


def advice(remedies: Remedies, said: Iterable[str]) -> str | None:
    """The first remedy whose sign is in what was said."""
    text = "\n".join(said)
    for pattern, remedy in remedies:
        found = re.search(pattern, text)
        if found:
            return remedy.format(*found.groups())
    return None
