"""What the source itself promises: it explains itself, stays small, and keeps each outside library in its room."""

import ast
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted([*ROOT.glob("edged/**/*.py"), *ROOT.glob("convert/**/*.py")])
EDGED = [path for path in MODULES if path.is_relative_to(ROOT / "edged")]

MOST_LINES_OF_A_MODULE = 400
MOST_LINES_OF_A_FUNCTION = 42
PRIVATE_WORDS = {
    "look": "sample, check, read", "looks": "votes", "looked": "sampled", "tell": "publish, notify, print", "tells": "is on",
    "told": "notified, published", "telling": "activation", "want": "request", "wants": "request", "wanted": "requested",
    "nobody": "empty", "news": "changes", "world": "inputs",
}  # fmt: skip
"""Words that names are not made of, with the field's own words for them; see `docs/glossary.md`."""
FIXED = {"told", "ToldSection", "tell", "want_write"}
"""Keys and names that people, programs or libraries depend on."""
BANNED = {"pickle", "marshal", "shelve", "torch", "joblib", "yaml", "keras", "tensorflow"}
ROOMS = {
    "cv2": {"capture", "crops", "detect", "analyse", "baselines", "offline", "render", "demo", "cli", "live"},
    "av": {"capture"},
    "paho": {"publish", "fleet"},
    "onnxruntime": {"inference"},
    "sqlite3": {"store", "doctor", "fleet"},  # doctor asks for the library's version
    "sqlite_utils": {"store"},
    "onnx": {"inference"},
    "amqtt": {"demo"},
    "lap": {"track"},
    "duckdb": {"export", "fleet"},
    "pyspark": {"fleet"},
    "gpiod": {"outputs"},
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def imported(path: Path) -> set[str]:
    """The top-level names of every module that `path` imports, at its head or inside a function."""
    nodes = list(ast.walk(tree(path)))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    from_there = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {module.split(".")[0] for module in plain + from_there}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call, with what is called as it is written."""
    return ((ast.unparse(node.func), node) for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def unannotated(function: Function) -> list[str]:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    missing = [a.arg for a in arguments if a and a.annotation is None and a.arg not in ("self", "cls")]
    return missing + (["return"] if function.returns is None else [])


def names(path: Path) -> set[str]:
    """Every name that the module defines or assigns to, attributes and arguments included."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, Function | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


def words(of: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", of)}


def length(function: Function) -> int:
    """Lines after the signature and the docstring."""
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1


def breaches(rule: Callable[[Path], object], paths: Iterable[Path] = MODULES) -> dict[str, object]:
    """What `rule` finds wrong, by file; where it finds nothing, it gives what is empty."""
    return {name(path): found for path in paths if (found := rule(path))}


def test_there_are_modules_to_look_at():
    assert len(EDGED) > 50


def test_a_module_begins_with_what_it_is_for():
    def first_sentence_is_missing(path):
        docstring = ast.get_docstring(tree(path)) or ""
        return not docstring.split("\n\n")[0].rstrip().endswith((".", "?", "!", ":"))

    assert breaches(first_sentence_is_missing) == {}


def test_every_function_is_annotated():
    assert (
        breaches(lambda path: {f"{f.name}, line {f.lineno}": unannotated(f) for f in functions(path) if unannotated(f)})
        == {}
    )


def test_modules_and_functions_stay_small():
    def long_functions(path):
        return {f.name: length(f) for f in functions(path) if length(f) > MOST_LINES_OF_A_FUNCTION}

    assert breaches(lambda path: len(path.read_text().splitlines()) > MOST_LINES_OF_A_MODULE) == {}
    assert breaches(long_functions) == {}


def test_names_are_made_of_the_fields_words():
    def private(path):
        found = {name: words(name) & PRIVATE_WORDS.keys() for name in names(path) - FIXED}
        return {name: [PRIVATE_WORDS[word] for word in bad] for name, bad in found.items() if bad}

    assert breaches(private, EDGED) == {}


PRIVATE_PHRASES = re.compile(
    r"\b(tells?|told) of\b(?! of)|\btelling\b|\ball told\b|\btold (again|anew|once)\b|\b(is|are|was|were|be|been) told\b",
    re.IGNORECASE,
)
"""Phrases for which there are plain words: names, says, publishes, notifies of, distinguishes."""
TEXTS = [*EDGED, *ROOT.glob("docs/*.md"), *ROOT.glob("config/*.toml"), *ROOT.glob("edged/**/*.html")]


def test_texts_are_plain():
    def private(path):
        return [line for line in path.read_text("utf-8").splitlines() if PRIVATE_PHRASES.search(line)]

    assert breaches(private, TEXTS) == {}


def test_the_daemon_loads_no_code_from_data_and_no_training_library():
    assert breaches(lambda path: imported(path) & BANNED, EDGED) == {}
    makes_code = {"eval", "exec", "compile", "__import__"}
    assert breaches(lambda path: {called for called, _ in calls(path)} & makes_code, EDGED) == {}


def test_durations_are_monotonic_and_instants_know_their_zone():
    banned = {"time.time", "datetime.utcnow", "datetime.today", "date.today", "datetime.utcfromtimestamp"}

    def unsafe(path):
        found = [called for called, _ in calls(path) if called.removeprefix("datetime.") in banned or called in banned]
        naive = [ast.unparse(call) for called, call in calls(path) if called.endswith("datetime.now") and not call.args]
        return found + [text for text in naive if "tz=" not in text]

    assert breaches(unsafe, EDGED) == {}


WAITS = {"wait": 0, "join": 0, "communicate": 1, "urlopen": 2, "create_connection": 1}
"""Methods and functions that wait for ever, unless they are given a `timeout`, by name or after so many other arguments."""
PROGRAMS = re.compile(r"(subprocess\.(run|call|check_call|check_output|getoutput|getstatusoutput)|os\.(system|popen))")
"""Waits for a killed program that sleeps in a driver, whatever its timeout; `edged.processes.program.run` does not."""
WAITED_FOR = {
    "edged/store/backup.py": {"self._thread.join()"},  # for who asked for a backup, however large the database is
    "edged/live/glimpse.py": {"thread.join()"},  # each camera has its own limit
    "edged/fleet/simulate_broker.py": {"line.wait()"},  # which has PATIENCE_S
}


def test_nothing_is_waited_for_without_a_limit():
    def endless(path):
        found = {ast.unparse(call) for called, call in calls(path) if PROGRAMS.fullmatch(called)}
        for called, call in calls(path):
            others = WAITS.get(called.rpartition(".")[2]) if "." in called else None
            if (
                others is not None
                and len(call.args) <= others
                and not {"timeout", "timeout_s"} & {given.arg for given in call.keywords}
            ):
                found.add(ast.unparse(call))
        return found - WAITED_FOR.get(name(path), set())

    assert breaches(endless, EDGED) == {}


def test_each_outside_library_has_its_rooms():
    def in_another_room(path):
        room = path.relative_to(ROOT / "edged").with_suffix("").parts[0]
        return {library for library in imported(path) & ROOMS.keys() if room not in ROOMS[library]}

    assert breaches(in_another_room, EDGED) == {}


def test_conversion_leaves_the_daemons_broker_and_store_alone():
    theirs = {"paho", "sqlite3", "sqlite_utils", "pickle", "yaml"}
    assert breaches(lambda path: imported(path) & theirs, set(MODULES) - set(EDGED)) == {}
