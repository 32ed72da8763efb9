"""ONNX Runtime never reports its use: whatever of ours imports it has imported `edged` before, which says so."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SWITCH = "ORT_DISABLE_TELEMETRY"
SOURCES = sorted(
    path
    for folder in (ROOT, *(entry for entry in ROOT.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    for path in (folder.glob("*.py") if folder == ROOT else folder.rglob("*.py"))
)


def statements(path: Path) -> list[ast.stmt]:
    """A module's statements after its docstring."""
    body = ast.parse(path.read_text()).body
    return body[1:] if isinstance(body[0], ast.Expr) else body


def imports_onnxruntime(path: Path) -> bool:
    """At its head, inside a function, or by a name in a string."""
    text = path.read_text()
    if "onnxruntime" not in text:
        return False
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        else:
            continue
        if any(str(name).split(".")[0] == "onnxruntime" for name in names):
            return True
    return False


USERS = [path.relative_to(ROOT) for path in SOURCES if imports_onnxruntime(path)]


def test_only_packages_that_begin_with_ours_import_onnxruntime():
    assert USERS
    assert {path.parts[0] for path in USERS} == {"edged", "convert", "tests"}


def test_edged_says_so_before_it_imports_anything_of_ours_or_of_others():
    written = [ast.unparse(line) for line in statements(ROOT / "edged" / "__init__.py")]
    before = written[: written.index(f"os.environ['{SWITCH}'] = '1'")]
    imported = {line.split()[1].split(".")[0] for line in before if not line.startswith("os.environ[")}
    assert imported <= sys.stdlib_module_names


def test_conversion_imports_edged_first():
    assert ast.unparse(statements(ROOT / "convert" / "__init__.py")[0]) == "import edged"


def test_tests_import_edged_before_they_are_collected():
    assert os.environ[SWITCH] == "1"
    assert any(
        "edged" in ast.unparse(line)
        for line in statements(ROOT / "tests" / "conftest.py")
        if "import" in ast.unparse(line)
    )


@pytest.mark.parametrize(
    "code",
    [
        "import edged.inference",
        "import edged.backends.__main__",
        "import convert, onnxruntime",
        "import convert.data.teacher",
        "from edged.cli import main; main(['engines', 'list'])",
    ],
)
def test_onnxruntime_is_imported_with_its_telemetry_off_whatever_the_environment_said(tmp_path, code):
    (tmp_path / "onnxruntime.py").write_text(
        "import os\nif os.environ.get('ORT_DISABLE_TELEMETRY') != '1':\n    os._exit(99)\nos._exit(0)\n"
    )
    environment = {**os.environ, SWITCH: "0", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nraise SystemExit('not imported')"],
        env=environment,
        cwd=ROOT,
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()[-500:]
