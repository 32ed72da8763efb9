"""`edged config apply` says what came of it, in words and by its exit code; what answers here stands in for the daemon."""

import os
import socket

import pytest

from edged.cli import config as verb
from edged.cli import main
from edged.daemon.client import socket_path
from edged.files import lock_first_byte


@pytest.fixture
def answers(monkeypatch):
    """What the daemon says one time after the other, and its process number."""
    said = []
    monkeypatch.setattr(verb, "ask", lambda _: {"pid": os.getpid(), "reload": said.pop(0)})
    monkeypatch.setattr(verb, "POLL_S", 0.0)
    monkeypatch.setattr(verb.os, "kill", lambda *_: None)
    return said


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text(f'[camera.door]\nsource = "csi://0"\n[store]\npath = "{tmp_path}/edged.db"\n')
    return path


def applied(file, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["config", "apply", "--config", str(file)])
    return ended.value.code, *capsys.readouterr()


def test_it_waits_for_the_reload_and_names_what_is_not_in_force_yet(answers, file, capsys):
    old, new = {"count": 3, "problem": "of an earlier one"}, {"count": 4, "problem": None}
    answers += [old, old, new]
    said = f"{file}: in force; what changed in [console] takes `systemctl restart edged-console`\n"
    assert applied(file, capsys) == (0, said, "")
    assert answers == []


def test_it_fails_with_the_reason_of_the_daemon(answers, file, capsys):
    answers += [{"count": 0, "problem": None}, {"count": 1, "problem": "the reason"}]
    assert applied(file, capsys) == (1, "", "edged: the reason\n")


def test_who_may_not_ask_the_daemon_is_told_who_may(answers, file, capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(verb.os, "kill", refuse)
    answers += [{"count": 0, "problem": None}]
    code, out, said = applied(file, capsys)
    assert (code, out) == (69, "")
    assert "run it as root, or as edged's user" in said


def test_after_a_change_of_store_path_it_says_which_database_is_written_and_that_a_restart_is_needed(
    file, capsys, tmp_path
):
    """The daemon answers beside the database that it has opened, where the file leads nobody any more."""
    written = tmp_path / "written" / "edged.db"
    written.parent.mkdir()
    with written.open("wb") as database, socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(socket_path(written)))
        code, out, said = applied(file, capsys)
        assert (code, out) == (69, "")
        assert str(written) not in said, "nobody writes it"
        assert lock_first_byte(database.fileno())
        code, out, said = applied(file, capsys)
    assert (code, out) == (69, "")
    assert f"{tmp_path}/edged.db.sock: no daemon answers" in said
    others = said.partition("A running edged writes ")[2].partition(": if")[0]
    assert str(written) in others.split(", "), "tests beside this one may run daemons, too"
    assert "`systemctl restart edged edged-console`" in said
    assert said.count("\n") == 1
