"""What is installed is what was tested, has a bill of materials, and can be held against a list of vulnerabilities offline."""

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edged.toml import load_toml

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
PROJECT = load_toml(ROOT / "pyproject.toml")["project"]
DATA = {"tzdata"}
"""Dated collections: the newest is the right one."""
RUNTIME = [
    *PROJECT["dependencies"],
    *(line for extra in ("jetson", "pi", "demo") for line in PROJECT["optional-dependencies"][extra]),
]
LOCKS = {"run": (), "jetson": ("jetson",)}

spec = importlib.util.spec_from_file_location("audit", REQUIREMENTS / "audit.py")
audit = importlib.util.module_from_spec(spec)
sys.modules["audit"] = audit
spec.loader.exec_module(audit)


def locked(name: str) -> dict[str, set[str]]:
    """Each package of a lock with its versions; every one has hashes."""
    text = (REQUIREMENTS / f"{name}.txt").read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line):
            assert "--hash=sha256:" in line, line
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


@pytest.mark.parametrize("line", RUNTIME)
def test_every_runtime_dependency_has_an_upper_bound(line):
    requirement = Requirement(line)
    bounds = {clause.operator for clause in requirement.specifier}
    assert requirement.name in DATA or bounds & {"<", "<=", "==", "~="}
    assert bounds & {">=", "==", "~="}


@pytest.mark.parametrize("lock", LOCKS)
def test_installations_are_locked_to_versions_that_the_tests_ran_with(lock):
    extras = [line for extra in LOCKS[lock] for line in PROJECT["optional-dependencies"][extra]]
    wanted = {canonicalize_name(Requirement(line).name) for line in [*PROJECT["dependencies"], *extras]}
    versions, tested = locked(lock), locked("dev")
    assert wanted <= set(versions)
    assert {name: found for name, found in versions.items() if name in tested and not found <= tested[name]} == {}


def test_what_builds_the_package_is_locked_too():
    assert "hatchling" in locked("build")
    assert {name: found for name, found in locked("build").items() if not found <= locked("dev")[name]} == {}


@pytest.fixture(scope="module")
def sbom(tmp_path_factory):
    out = tmp_path_factory.mktemp("sbom") / "edged.cdx.json"
    done = subprocess.run(
        [sys.executable, REQUIREMENTS / "sbom.py", out],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_bill_of_materials_names_every_locked_package_and_every_model(sbom):
    bill = json.loads(sbom.read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "edged")
    named = {(canonicalize_name(c["name"]), c["version"]) for c in bill["components"] if c["type"] == "library"}
    assert named == {(name, version) for name, versions in locked("run").items() for version in versions}
    models = {c["name"]: c["hashes"][0]["content"] for c in bill["components"] if c["type"] == "machine-learning-model"}
    assert {"detector", "mask", "landmarks", "pose", "eyes"} <= set(models)
    assert all(len(digest) == 64 for digest in models.values())


def advisory(name="numpy", ecosystem="PyPI", **affected):
    return {
        "id": "PYSEC-1",
        "summary": "it falls",
        "affected": [{"package": {"name": name, "ecosystem": ecosystem}, **affected}],
    }


def within(*events):
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "version", "concerned"),
    [
        (within({"introduced": "0"}), "0.1.dev1", True),
        (within({"introduced": "0"}, {"fixed": "2.0"}), "1.9", True),
        (within({"introduced": "0"}, {"fixed": "2.0"}), "2.0", False),
        (within({"introduced": "0"}, {"fixed": "2.0"}), "10.0", False),
        (within({"introduced": "0"}, {"last_affected": "2.0"}), "2.0", True),
        (within({"introduced": "0"}, {"last_affected": "2.0"}), "2.0.1", False),
        (within({"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}), "1.7", False),
        (within({"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}), "2.1", True),
        (within({"introduced": "2.0"}, {"introduced": "1.0"}, {"fixed": "1.5"}), "2.1", True),
        (within({"introduced": "1.0"}), "0.9", False),
        ({"versions": ["1.0", "1.1"]}, "1.1.0", True),
        ({"versions": ["1.0", "1.1"]}, "1.2", False),
        ({"versions": ["odd"], **within({"introduced": "1"})}, "1.0", True),
        ({}, "1.0", True),
        (within({"introduced": "1"}), "no-version", True),
    ],
)
def test_versions_are_compared_as_osv_has_it(affected, version, concerned):
    assert bool(list(audit.hits({("numpy", version)}, advisory(**affected)))) is concerned


@pytest.mark.parametrize(
    "other",
    [
        advisory(ecosystem="npm"),
        advisory(name="scipy"),
        {**advisory(), "withdrawn": "2026-01-01T00:00:00Z"},
        {"id": "X"},
    ],
)
def test_other_packages_other_ecosystems_and_withdrawn_advisories_are_passed_over(other):
    assert list(audit.hits({("numpy", "1.0")}, other)) == []


def test_a_list_is_a_zip_a_folder_or_a_file_and_names_the_remedy(sbom, tmp_path, capsys):
    version = sorted(locked("run")["paho-mqtt"])[0]
    bad = advisory("Paho_MQTT", **within({"introduced": "0"}, {"fixed": "99"}))
    good = {**advisory("paho-mqtt", **within({"introduced": "99"})), "id": "PYSEC-2"}
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.json").write_text(json.dumps(bad))
    (tmp_path / "all.json").write_text(json.dumps([bad, good]))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("PYSEC-1.json", json.dumps(bad))
    for source, seen in (("folder", 1), ("all.json", 2), ("all.zip", 1)):
        assert audit.main([str(sbom), str(tmp_path / source)]) == 1
        told = capsys.readouterr().out.splitlines()
        assert told == [
            f"paho-mqtt {version}: PYSEC-1: it falls (fixed in 99)",
            f"{seen} advisories, 1 of them concern what is in {sbom}",
        ]
    (tmp_path / "good.json").write_text(json.dumps(good))
    assert audit.main([str(sbom), str(tmp_path / "good.json")]) == 0


@pytest.mark.parametrize("text", [None, "", "[]", "no JSON", "[1]", '{"no": "id"}'])
def test_a_list_that_cannot_be_read_is_no_clean_bill(sbom, tmp_path, capsys, text):
    if text is not None:
        (tmp_path / "list.json").write_text(text)
    assert audit.main([str(sbom), str(tmp_path / "list.json")]) == 2
    assert audit.main([str(tmp_path / "list.json"), str(sbom)]) == 2
    assert all(line.startswith("audit: ") for line in capsys.readouterr().err.splitlines())
