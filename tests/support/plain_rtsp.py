"""A network camera in a few lines, for what real servers cannot be told to do: transports it refuses, digests it asks for.

Serves MPEG transport packets of a recording at /door, again and again, over TCP or UDP.
"""

import re
import socket
import struct
import threading
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path

import cv2
import numpy as np

from support.mosquitto import PATIENCE_S

PACKETS_EACH = 7 * 188
REALM, NONCE = "camera", "0123456789abcdef"
USER, PASSWORD = "viewer", "s3cret"


def transport_stream(path: Path, pictures: int = 60) -> bytes:
    """A recording of moving noise at 15 pictures a second."""
    file = path / "scene.ts"
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 15, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(pictures):
        writer.write(cv2.resize(noise.integers(0, 255, (6, 8, 3), np.uint8), (64, 48)))
    writer.release()
    return file.read_bytes()


class PlainRtspServer:
    """Use as a context. `asked` are the transports that were asked for, in order."""

    def __init__(
        self, stream: bytes, transports: Sequence[str] = ("tcp", "udp"), algorithms: Sequence[str] = ()
    ) -> None:
        """`algorithms` are those of the digests it asks for, in this order; of them it understands MD5."""
        self.asked: list[str] = []
        self._stream, self._transports, self._algorithms = stream, transports, algorithms
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}/door"

    def __enter__(self) -> "PlainRtspServer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _accept(self) -> None:
        while not self._ends.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(peer,), daemon=True))
            self._threads[-1].start()

    def _serve(self, peer: socket.socket) -> None:
        target: tuple[str, int] | None = None
        with peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind(("127.0.0.1", 0))
            try:
                while (request := _request(peer)) is not None:
                    number = re.search(r"CSeq: *(\d+)", request)[1]
                    transport = re.search(r"(?m)^Transport: *(.*?)\r?$", request)
                    status, headers, body = self._answer(request, transport and transport[1], ours)
                    if status == "200 OK" and transport:
                        ports = re.search(r"client_port=(\d+)", transport[1])
                        target = ("127.0.0.1", int(ports[1])) if ports else None
                    lines = [
                        f"RTSP/1.0 {status}",
                        f"CSeq: {number}",
                        *headers,
                        f"Content-Length: {len(body)}",
                        "",
                        body,
                    ]
                    peer.sendall("\r\n".join(lines).encode())
                    if request.startswith("PLAY") and status == "200 OK":
                        self._play(peer, ours, target)
                        return
            except OSError:
                return  # whoever asked has gone

    def _answer(self, request: str, transport: str | None, ours: socket.socket) -> tuple[str, list[str], str]:
        method = request.split()[0]
        if method != "OPTIONS" and self._algorithms and not self._lets_in(request):
            ask = f'Digest realm="{REALM}", nonce="{NONCE}"'
            return "401 Unauthorized", [f"WWW-Authenticate: {ask}, algorithm={a}" for a in self._algorithms], ""
        if method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
            return "200 OK", ["Content-Type: application/sdp", f"Content-Base: rtsp://{self.address}/"], body
        if method == "SETUP" and transport is not None:
            kind = "tcp" if "/TCP" in transport else "udp"
            self.asked.append(kind)
            if kind not in self._transports:
                return "461 Unsupported Transport", [], ""
            port = ours.getsockname()[1]
            more = "" if kind == "tcp" else f";server_port={port}-{port + 1}"
            return "200 OK", [f"Transport: {transport}{more}", "Session: 1"], ""
        return "200 OK", ["Session: 1", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"], ""

    def _lets_in(self, request: str) -> bool:
        found = re.search(r"(?m)^Authorization: Digest (.*)", request)
        if not found:
            return False
        said = dict(re.findall(r'(\w+)="([^"]*)"', found[1]))
        secret = md5(f"{USER}:{REALM}:{PASSWORD}".encode()).hexdigest()  # noqa: S324
        asked = md5(f"{request.split()[0]}:{said['uri']}".encode()).hexdigest()  # noqa: S324
        return said["response"] == md5(f"{secret}:{NONCE}:{asked}".encode()).hexdigest()  # noqa: S324

    def _play(self, peer: socket.socket, ours: socket.socket, target: tuple[str, int] | None) -> None:
        number = 0
        while not self._ends.wait(0.02):
            at = number * PACKETS_EACH % (len(self._stream) // PACKETS_EACH * PACKETS_EACH)
            head = struct.pack("!BBHII", 0x80, 33, number & 0xFFFF, number * 1800, 1)
            packet = head + self._stream[at : at + PACKETS_EACH]
            if target is None:
                peer.sendall(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
            else:
                ours.sendto(packet, target)
            number += 1


def _request(peer: socket.socket) -> str | None:
    text = b""
    while b"\r\n\r\n" not in text:
        part = peer.recv(4096)
        if not part or len(text) > 65_536:
            return None
        text += part
    return text.decode(errors="replace")
