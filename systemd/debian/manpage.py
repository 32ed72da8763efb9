"""Prints the manual page edged(1), made of the command line's own help: `python manpage.py VERSION DAY`."""

import sys
from collections.abc import Iterator

import click

from edged.cli import cli

FILES = {
    "/etc/edged/edged.toml": "the config; every key stands in it, with its default",
    "/var/lib/edged/edged.db": "the record",
    "/var/lib/edged/reports": "the daily reports",
    "/opt/edged/share/edged": "the readme and examples of configs",
}
STATUS = {
    "0": "Done.",
    "1": "What was asked for failed.",
    "2": "Wrong usage.",
    "69": "Something needed is not available now.",
    "78": "The config is wrong.",
}


def roff(text: str) -> str:
    """Text as troff takes it: no line begins a request, no hyphen becomes a dash."""
    escaped = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """`command` and all below it, in order."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from commands(below, click.Context(below, info_name=name, parent=context))


def section(command: click.Command, context: click.Context) -> Iterator[str]:
    """One verb: how it is called, what it does, its options."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {roff(f'{context.command_path} {usage}')}"
    paragraphs = (command.help or command.short_help or "").replace("\b", "").split("\n\n")
    yield "\n.PP\n".join(roff(paragraph) for paragraph in paragraphs)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[0] != "-h, --help":
            yield f".TP\n.B {roff(record[0])}\n{roff(record[1])}"


def page(version: str, day: str) -> Iterator[str]:
    root = click.Context(cli, info_name="edged")
    yield f'.TH EDGED 1 "{day}" "edged {version}" "User Commands"'
    yield f".SH NAME\nedged \\- {roff(cli.help or '').rstrip('.')}"
    yield ".SH SYNOPSIS\n.B edged\n.I verb\n[options] [arguments]"
    yield ".SH VERBS"
    for command, context in commands(cli, root):
        if context is not root:
            yield from section(command, context)
    yield ".SH EXIT STATUS"
    yield from (f".TP\n.B {code}\n{roff(meaning)}" for code, meaning in STATUS.items())
    yield ".SH FILES"
    yield from (f".TP\n.I {roff(path)}\n{roff(what)}" for path, what in FILES.items())


if __name__ == "__main__":
    print("\n".join(page(*sys.argv[1:3])))
