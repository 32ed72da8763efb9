"""Asks a network camera which digest algorithms it wants a password told with, when it has refused ours."""

import re
import socket
import ssl
from urllib.parse import urlsplit

from edged.streams import USUAL_PORTS

SPOKEN = ("MD5", "MD5-SESS")
"""FFmpeg's; of several it takes the camera's last."""
PATIENCE_S = 2.0
MOST_BYTES = 16_384


def unspoken_algorithms(uri: str) -> list[str]:
    """The digest algorithms that the camera at `uri` offers, when FFmpeg cannot answer; else none. No password is sent.

    Takes a few seconds at most. A camera that does not answer offers none.
    """
    try:
        offered = digest_algorithms(_answer(uri))
    except (OSError, ValueError):
        return []
    return offered if offered and offered[-1].upper() not in SPOKEN else []


def digest_algorithms(answer: str) -> list[str]:
    """The algorithms of the digest challenges in an RTSP answer, in their order; one that names none is MD5."""
    challenges = re.findall(r"(?im)^www-authenticate:[ \t]*digest[ \t](.*)$", answer)
    named = [re.search(r'(?i)\balgorithm="?([\w-]{1,32})', challenge) for challenge in challenges]
    return [found[1] if found else "MD5" for found in named]


def _answer(uri: str) -> str:
    """What the camera says to somebody without a password: the head of its answer."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    address = f"{parts.scheme}://{host}{parts.path}{'?' if parts.query else ''}{parts.query}"
    with socket.create_connection((parts.hostname or "", parts.port or USUAL_PORTS[parts.scheme]), PATIENCE_S) as plain:
        peer = _encrypted(plain) if parts.scheme == "rtsps" else plain
        peer.sendall(f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
        said = b""
        while b"\r\n\r\n" not in said and len(said) < MOST_BYTES and (part := peer.recv(4096)):
            said += part
    return said.decode(errors="replace").replace("\r", "")


def _encrypted(plain: socket.socket) -> ssl.SSLSocket:
    """Without a look at the certificate, as cameras have their own; nothing secret is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)
