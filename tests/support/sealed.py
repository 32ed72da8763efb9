"""A network of its own that ends at this machine: every address is here, names are answered here, and all that is sent is seen.

`command` runs a program in fresh network and mount namespaces; `Network` is used by that program.
"""

import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

ELSEWHERE = "192.0.2.99"
"""What unknown names are said to be: whoever asks for one shows what it would have sent there."""

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
TCP, UDP, SYN, ACK = 6, 17, 0x02, 0x10
A_RECORD = 1


class Sent(NamedTuple):
    """The first packet of a conversation: who was addressed, and in which phase of the scenario."""

    phase: str
    protocol: str
    address: str
    port: int


def command(program: Sequence[str]) -> list[str]:
    """The command line that runs `program` sealed off. Needs root, or user namespaces for everybody."""
    return [*_UNSHARE, *program]


def why_not() -> str | None:
    """Why nothing can be sealed off here, None where it can."""
    if missing := [tool for tool in ("unshare", "ip", "mount") if shutil.which(tool) is None]:
        return f"{', '.join(missing)} not installed: apt install util-linux iproute2 mount"
    seal = "ip link set lo up && ip route add local default dev lo && mount --bind /etc/hosts /etc/hosts"
    done = subprocess.run(command(["sh", "-c", seal]), capture_output=True, text=True, timeout=120, check=False)
    return None if done.returncode == 0 else f"no namespaces here: {done.stderr.strip()[:200]}"


_UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount")


class Network:
    """The inside. What is in `names` is at 127.0.0.1."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        """Bring the network up; `folder` takes two small files that are laid over those in /etc."""
        self.phase = ""
        self.sent: set[Sent] = set()
        self.asked: set[str] = set()
        self._names = names
        for arguments in ("link set lo up", "route add local default dev lo"):
            subprocess.run(["ip", *arguments.split()], check=True, timeout=120)
        # Where there is no IPv6, nothing can be sent over it.
        subprocess.run(["ip", "-6", "route", "add", "local", "default", "dev", "lo"], check=False, timeout=120)
        for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n")):
            (folder / name).write_text(text)
            subprocess.run(["mount", "--bind", str(folder / name), f"/etc/{name}"], check=True, timeout=120)
        self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._questions = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._questions.bind(("127.0.0.1", 53))
        for work in (self._watch, self._answer):
            threading.Thread(target=work, daemon=True).start()

    def _watch(self) -> None:
        while True:
            packet, (_, kind, way, *_) = self._wire.recvfrom(256)
            if way != socket.PACKET_OUTGOING:
                continue
            if kind == ETH_P_IP:
                start = (packet[0] & 15) * 4
                self._note(packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[start:])
            elif kind == ETH_P_IPV6:
                self._note(packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:])

    def _note(self, protocol: int, address: str, rest: bytes) -> None:
        if protocol == TCP:
            if rest[13] & (SYN | ACK) == SYN:
                self.sent.add(Sent(self.phase, "tcp", address, struct.unpack("!H", rest[2:4])[0]))
        elif protocol == UDP:
            source, target = struct.unpack("!HH", rest[:4])
            if source != 53:  # our own answers
                self.sent.add(Sent(self.phase, "udp", address, target))
        elif protocol != 1:  # ICMP: the kernel's word that a port is closed
            self.sent.add(Sent(self.phase, f"protocol {protocol}", address, 0))

    def _answer(self) -> None:
        while True:
            question, whom = self._questions.recvfrom(1500)
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii", "replace"))
                at += question[at] + 1
            name, kind = ".".join(labels), struct.unpack("!H", question[at + 1 : at + 3])[0]
            self.asked.add(name)
            address = socket.inet_aton("127.0.0.1" if name in self._names else ELSEWHERE)
            answers = [b"\xc0\x0c" + struct.pack("!HHIH", A_RECORD, 1, 1, 4) + address] if kind == A_RECORD else []
            head = question[:2] + b"\x85\x80" + struct.pack("!HHHH", 1, len(answers), 0, 0)
            self._questions.sendto(head + question[12 : at + 5] + b"".join(answers), whom)
