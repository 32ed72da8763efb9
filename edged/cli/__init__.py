"""The command line: one module per verb, imported only when that verb is used; errors become one line and an exit code."""

import importlib
import sys
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from edged.cli.streams import printing, visible
from edged.errors import EdgedError


class Verb(NamedTuple):
    """Where a verb's command is, as module:name, and the first sentence of its help, for which nothing needs to be imported."""

    where: str
    help: str


VERBS = {
    "analyze": Verb(
        "edged.cli.analyze:analyze", "Find, judge and read faces in SOURCES: pictures, folders of pictures, videos."
    ),
    "bench": Verb(
        "edged.cli.bench:bench",
        "Time each stage on this machine, one camera, every face judged in every frame; then each reader of faces alone.",
    ),
    "cameras": Verb("edged.cli.cameras:cameras", "List attached cameras."),
    "claim": Verb(
        "edged.cli.console:claim", "Print the console's address and the code that its first visitor is asked for."
    ),
    "completion": Verb(
        "edged.cli.completion:completion",
        'Print the script that teaches SHELL to complete edged\'s verbs and options: eval "$(edged completion bash)".',
    ),
    "config": Verb("edged.cli.config:config", "Check, apply and show the config."),
    "console": Verb("edged.cli.console:console", "Serve the pages for a browser until stopped."),
    "db": Verb("edged.cli.db:db", "Look after the database."),
    "demo": Verb(
        "edged.cli.demo:demo",
        "Play an entrance scene through the real daemon, print its alerts as a subscriber gets them, and make the reports.",
    ),
    "doctor": Verb(
        "edged.cli.doctor:doctor",
        "Check cameras, models, broker, disk, clock and permissions: one line each, with the remedy.",
    ),
    "engines": Verb("edged.cli.engines:engines", "Look at the models, and at what runs them."),
    "events": Verb(
        "edged.cli.events:events",
        "Print recorded events, oldest first; the times are those of report.timezone, in JSON UTC.",
    ),
    "export": Verb("edged.cli.export:export", "Export closed days as files for a report over many devices."),
    "fleet": Verb("edged.cli.fleet:fleet", "Reports over many devices, from what `edged export` sent."),
    "outputs": Verb("edged.cli.outputs:outputs", "List and try lamps, buzzers, voices, doors and buttons."),
    "passwd": Verb(
        "edged.cli.console:passwd",
        "Set a password of the console, typed twice or read from standard input; "
        "whoever was logged in with the old one is not any more.",
    ),
    "report": Verb(
        "edged.cli.report:report",
        "The report of DATE, yesterday when left out: 2026-11-19, yesterday or today; or of its week or month.",
    ),
    "run": Verb("edged.cli.run:run", "Watch the configured cameras until stopped."),
    "schema": Verb(
        "edged.cli.schema:schema",
        "Print the JSON Schema of NAME: every MQTT payload, or a line of `edged events --json`, `edged report --format json` "
        "or `edged analyze --json`.",
    ),
    "selftest": Verb(
        "edged.cli.selftest:selftest",
        "Run the golden pictures through every model on every backend present: one line each, to be sent back.",
    ),
    "status": Verb(
        "edged.cli.status:status", "Print the state of the running daemon: cameras, broker, models and problems."
    ),
    "wear-mask": Verb("edged.cli.wear_mask:wear_mask_command", "Draw mask 1 to 7 on the faces in IMAGE."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when asked for, so that `edged status` does not wait for model runtimes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, name = VERBS[cmd_name].where.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every verb with the whole first sentence of its help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name].help) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See `click.Group`: verbs, and options of edged itself."""
        verbs = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=VERBS[name].help) for name in verbs]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`; a mistyped verb is answered with the nearest one."""
        if args and args[0] not in VERBS and (near := get_close_matches(args[0], VERBS, n=1)):
            ctx.fail(f"No such command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edged", prog_name="edged")
def cli() -> None:
    """A camera appliance that sees masks, alerts over MQTT, and reports each day."""


def main(arguments: list[str] | None = None) -> Any:
    """Run one verb. An EdgedError becomes its line on stderr and its exit code."""
    try:
        with printing():
            cli.main(args=arguments, prog_name="edged", standalone_mode=True)
    except EdgedError as error:
        with suppress(OSError):  # standard error may be closed, or on a full disk
            for line in str(error).splitlines():
                click.echo(f"edged: {visible(line)}", err=True)
        sys.exit(error.exit_code)
