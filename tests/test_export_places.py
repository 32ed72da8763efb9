"""Where exports go: servers that refuse, are full or were told before, sticks, and power cuts at any instant."""

import http.server
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from report_days import HOUR, span
from support.mosquitto import make_certificates, until
from test_export_day import DAY, Site

from edged.config.export import ExportConfig
from edged.errors import ConfigError, Unavailable
from edged.export.manifest import Manifest, sha256


class Bucket(http.server.ThreadingHTTPServer):
    """Takes PUT with `If-None-Match: *` as object stores do; `faults` says which request is answered otherwise."""

    def __init__(self):
        self.objects, self.faults, self.asked, self.headers, self.tokens = {}, {}, [], [], set()
        super().__init__(("127.0.0.1", 0), _Put)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_close(self):
        self.shutdown()  # else its thread goes on asking a socket that is closed, and keeps a processor busy
        super().server_close()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/bucket"


class _Put(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)
        self.server.headers.append(self.headers)
        self.server.tokens.add(self.headers["Authorization"])
        fault = self.server.faults.pop(len(self.server.asked) - 1, None)
        if fault == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif isinstance(fault, tuple):
            self._answer(*fault)
        elif fault:
            self._answer(fault)
        elif self.path in self.server.objects:
            self._answer(412 if self.headers["If-None-Match"] == "*" else 500)
        else:
            self.server.objects[self.path] = data
            self._answer(201)

    def do_HEAD(self):
        if self.path not in self.server.objects:
            self._answer(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.objects[self.path])))
        self.end_headers()

    def _answer(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def bucket():
    with Bucket() as server:
        yield server
        server.shutdown()


def to_web(site, bucket, **export):
    settings = site.settings.export.model_copy(update={"to": bucket.address, **export})
    site.settings = site.settings.model_copy(update={"export": settings})
    return site


def check(objects):
    """What a reader takes for exported is whole; how many manifests there are."""
    manifests = [path for path in objects if path.endswith(".manifest.json")]
    for path in manifests:
        for file in Manifest.model_validate_json(objects[path]).files:
            assert sha256(objects[f"{path.rpartition('/')[0]}/{file.name}"]) == file.sha256
    return len(manifests)


def test_files_arrive_by_put_the_manifest_last(tmp_path, bucket):
    to_web(Site(tmp_path).busy().close(), bucket).export()
    assert check(bucket.objects) == 1
    assert all(path.startswith(f"/bucket/record/v=1/dt={DAY}/entrance-1-000001-") for path in bucket.objects)
    assert bucket.asked[-1].endswith(".manifest.json")


def test_what_is_there_already_is_success_unless_it_is_cut_short(tmp_path, bucket):
    site = to_web(Site(tmp_path).busy().close(), bucket).export()
    before = dict(bucket.objects)
    site.export(DAY)
    assert bucket.objects == before
    path = next(path for path in bucket.objects if ".encounter." in path)
    bucket.objects[path] = bucket.objects[path][:-1]
    with pytest.raises(Unavailable, match=r"holds \d+ bytes instead of \d+; delete it there"):
        site.export(DAY)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (403, "the server answers 403; it does not let this device write there"),
        (507, "the server answers 507; its disk is full"),
        (413, "the server answers 413; it takes no file of this size"),
        (500, "the server answers 500; read the server's log"),
        (302, "the server answers 302"),
        (412, "the server says that it is there, and answers 404 when it is asked for"),
        ("cut", "closed the connection instead of answering"),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_server_with_a_fault_is_one_line_and_tried_again(tmp_path, bucket, fault, words, after):
    site = to_web(Site(tmp_path).busy().close(), bucket)
    bucket.faults = {after: fault}
    with pytest.raises(Unavailable, match=r"\(1 exports wait, the oldest of 2026-11-19\)") as raised:
        site.export()
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert check(bucket.objects) == 0
    site.export()
    assert check(bucket.objects) == 1


def test_nobody_listens(tmp_path):
    site = Site(tmp_path).busy().close()
    settings = site.settings.export.model_copy(update={"to": "http://127.0.0.1:9/bucket"})
    site.settings = site.settings.model_copy(update={"export": settings})
    with pytest.raises(
        Unavailable, match=r"127\.0\.0\.1:9: nothing listens there; check that the server runs, and export\.to"
    ):
        site.export()


def test_a_token_is_sent_and_stands_in_no_message(tmp_path, bucket):
    (tmp_path / "token").write_text("s3cret\n")
    site = to_web(Site(tmp_path).busy().close(), bucket, token_file=tmp_path / "token")
    bucket.faults = {0: 401}
    with pytest.raises(Unavailable, match=r"export\.token_file") as raised:
        site.export()
    assert bucket.tokens == {"Bearer s3cret"}
    assert "s3cret" not in str(raised.value)


def test_a_token_that_cannot_be_read_names_its_key(tmp_path, bucket):
    site = to_web(Site(tmp_path).busy().close(), bucket, token_file=tmp_path / "none")
    with pytest.raises(ConfigError, match=r"key export\.token_file = '.*none': cannot be read"):
        site.export()


def test_a_private_authority_is_believed_when_it_is_named(tmp_path, bucket):
    import ssl

    made = make_certificates(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server, made.server_key)
    bucket.socket = context.wrap_socket(bucket.socket, server_side=True)
    site = to_web(Site(tmp_path).busy().close(), bucket)
    address = bucket.address.replace("http:", "https:")
    for ca_file, arrives in ((None, False), (made.ca, True)):
        settings = site.settings.export.model_copy(update={"to": address, "ca_file": ca_file})
        site.settings = site.settings.model_copy(update={"export": settings})
        if arrives:
            site.export()
        else:
            with pytest.raises(Unavailable, match=r"the server's certificate is not accepted .*check export\.ca_file"):
                site.export()
    assert check(bucket.objects) == 1


def test_a_half_file_on_a_stick_is_written_anew(tmp_path):
    site = Site(tmp_path).busy().close().export()
    before = site.files()
    (path,) = site.place.rglob("*.encounter.jsonl.gz")
    path.write_bytes(path.read_bytes()[:100])
    site.export(DAY)
    assert site.files() == before


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_export_day import Site, DAY
from edged.export import Exporter
from edged.store import StoreReader
from report_days import HOUR, span, config
from edged.config import Config
settings = Config.model_validate_json(Path({settings!r}).read_text())
print("go", flush=True)
Exporter(settings, StoreReader(settings.store.path), {now}, lambda line: None).export(None)
"""


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet"])
def test_a_power_cut_at_any_instant_leaves_nothing_half_done(tmp_path, form):
    """An export is killed again and again until it has come through; then everything is there once, and whole."""
    site = Site(tmp_path, form).busy().close()
    (tmp_path / "settings.json").write_text(site.settings.model_dump_json())
    code = WRITER.format(
        tests=str(Path(__file__).parent), settings=str(tmp_path / "settings.json"), now=span(DAY)[1] + HOUR
    )
    chance, killed = random.Random(7), 0
    for attempt in range(60):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"go\n"
        if attempt < 12:
            time.sleep(chance.uniform(0, 0.25))
            child.send_signal(signal.SIGKILL)
        code_of = child.wait(60)
        child.stdout.close()
        killed += code_of == -signal.SIGKILL
        files = {
            str(path.relative_to(site.place)): path.read_bytes() for path in site.place.rglob("*") if path.is_file()
        }
        check(files)
        if code_of == 0 and attempt >= 12:
            break
    assert killed >= 3
    (folder,) = (tmp_path / "export/record/v=1").iterdir()
    assert len(site.manifests()) == 1
    assert site.manifests()[0].number == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(site.files())


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_line_and_tried_again(tmp_path):
    site = Site(tmp_path).busy().close()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(site.place)]
    if subprocess.run(mount, capture_output=True, timeout=60).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        (site.place / "filler").write_bytes(b"x" * 60_000)
        with pytest.raises(Unavailable, match="No space left on device"):
            site.export()
        assert not list(site.place.rglob("*.manifest.json"))
        (site.place / "filler").unlink()
        assert until(lambda: len(site.export().manifests()) == 1)
    finally:
        subprocess.run(["umount", str(site.place)], check=True, timeout=60)


@pytest.mark.parametrize(
    ("to", "fits"),
    [
        ("http://example.org/x", False),
        ("http://8.8.8.8/x", False),
        ("http://192.168.1.9/x", True),
        ("https://example.org/x", True),
    ],
)
def test_the_record_leaves_the_site_encrypted_only(to: str, fits: bool) -> None:
    if fits:
        assert ExportConfig(to=to).to == to
    else:
        with pytest.raises(ValueError, match="unencrypted"):
            ExportConfig(to=to)
