"""Reads what a Python package offers out of its sources, and what a module of ours uses of it, without importing either."""

import ast
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of a function, without `self`."""

    names: tuple[str, ...]
    required: int
    keywords: bool = False
    """Whether it takes any, by **."""

    @classmethod
    def of(cls, function: Function) -> "Parameters":
        spec = function.args
        bound = not any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)
        names = tuple(argument.arg for argument in (*spec.posonlyargs, *spec.args))[bound:]
        return cls(names, len(names) - len(spec.defaults), spec.kwarg is not None)

    def wrong(self, call: ast.Call) -> list[str]:
        """What this call says that the function does not understand."""
        named = [keyword.arg for keyword in call.keywords if keyword.arg is not None]
        found = [f"no parameter {name}" for name in named if name not in self.names and not self.keywords]
        if len(call.args) > len(self.names):
            found.append(f"takes {len(self.names)} arguments, not {len(call.args)}")
        missing = set(self.names[len(call.args) : self.required]) - set(named)
        return [*found, *(f"needs {name}" for name in sorted(missing))]


@dataclass(slots=True)
class Class:
    """A class of the package."""

    methods: dict[str, Function] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)
    """Properties, annotated names, constants, and what its methods set on `self`."""
    fields: dict[str, ast.expr] = field(default_factory=dict)
    """Constants of the class body."""

    @classmethod
    def of(cls, definition: ast.ClassDef) -> "Class":
        found = cls()
        for node in definition.body:
            if isinstance(node, Function):
                decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
                if decorators & {"property", "classproperty"} or any(".setter" in d for d in decorators):
                    found.attributes.add(node.name)
                else:
                    found.methods[node.name] = node  # overloads come first, what runs comes last
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.attributes.add(node.target.id)
            elif isinstance(node, ast.Assign):
                found.fields |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        stored = (node for node in ast.walk(definition) if isinstance(node, ast.Attribute))
        found.attributes |= found.fields.keys() | {
            node.attr
            for node in stored
            if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self"
        }
        return found

    def parameters(self, method: str) -> Parameters:
        """Of a method; a class without a constructor takes nothing."""
        return Parameters.of(self.methods[method]) if method in self.methods else Parameters((), 0)


@dataclass(frozen=True, slots=True)
class Package:
    """Its classes, those that it exports, and every string in it."""

    classes: dict[str, Class]
    exported: frozenset[str]
    strings: frozenset[str]

    @classmethod
    def from_wheel(cls, wheel: Path, name: str) -> "Package":
        with zipfile.ZipFile(wheel) as archive:
            files = [file for file in archive.namelist() if file.startswith(f"{name}/") and file.endswith(".py")]
            trees = {file.removeprefix(f"{name}/"): ast.parse(archive.read(file)) for file in files}
        return cls.from_trees(trees)

    @classmethod
    def from_folder(cls, folder: Path) -> "Package":
        return cls.from_trees({str(p.relative_to(folder)): ast.parse(p.read_text()) for p in folder.rglob("*.py")})

    @classmethod
    def from_trees(cls, trees: dict[str, ast.Module]) -> "Package":
        classes = {
            node.name: Class.of(node) for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)
        }
        exported = set()
        for node in trees["__init__.py"].body:
            if isinstance(node, ast.ImportFrom):
                exported |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.ClassDef):
                exported.add(node.name)
        constants = (node.value for t in trees.values() for node in ast.walk(t) if isinstance(node, ast.Constant))
        return cls(classes, frozenset(exported), frozenset(value for value in constants if isinstance(value, str)))

    def returned(self, class_name: str, method: str) -> str | None:
        """The class of the package that a method's annotation names first."""
        annotation = self.classes[class_name].methods[method].returns
        if isinstance(annotation, ast.Constant):
            annotation = ast.parse(str(annotation.value), mode="eval").body
        names = (node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)) if annotation else ()
        return next((name for name in names if name in self.classes), None)


@dataclass(frozen=True, slots=True)
class Thing:
    """What an expression of ours holds: the package, one of its classes, an object of one, or a method."""

    kind: str
    class_name: str = ""
    method: str = ""


class Use:
    """Follows a module of ours from where it gets the package to what it names of it; `wrong` is what is not there."""

    def __init__(self, module: ast.Module, package: Package, opener: str, name: str) -> None:
        """`opener` is our function that returns the package; `name` is what a program calls it after importing it."""
        self.named: set[tuple[str, ...]] = set()
        self.wrong: list[str] = []
        self.calls: list[tuple[str, ast.Call]] = []
        self._package, self._opener = package, opener
        self._held: dict[str, Thing] = {name: Thing("package")}
        for before in iter(lambda: len(self._held), -1):  # until nothing new is learned
            for target, value in _assignments(module):
                thing = self._thing(value)
                if thing is not None:
                    self._held.setdefault(ast.unparse(target), thing)
            if len(self._held) == before:
                break
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute):
                self._check_attribute(node)
            elif isinstance(node, ast.Call):
                self._check_call(node)

    def _thing(self, node: ast.expr) -> Thing | None:
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in self._held:
            return self._held[ast.unparse(node)]
        if isinstance(node, ast.Attribute):
            return self._member(self._thing(node.value), node.attr)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == self._opener:
                return Thing("package")
            return self._result(self._thing(node.func))
        return None

    def _member(self, of: Thing | None, name: str) -> Thing | None:
        if of is None or of.kind == "method":
            return None
        if of.kind == "package":
            return Thing("class", name) if name in self._package.classes else None
        known = self._package.classes[of.class_name].methods
        return Thing("method", of.class_name, name) if name in known else None

    def _result(self, of: Thing | None) -> Thing | None:
        if of is None or of.kind == "package":
            return None
        if of.kind == "class":
            return Thing("object", of.class_name)
        returned = self._package.returned(of.class_name, of.method)
        return Thing("object", returned) if returned else None

    def _check_attribute(self, node: ast.Attribute) -> None:
        of = None if ast.unparse(node) in self._held else self._thing(node.value)
        value = self._thing(node.value) if of is None else of
        if value is None or value.kind == "method":
            return
        if value.kind == "package":
            self.named.add((node.attr,))
            there = node.attr in self._package.exported
        else:
            self.named.add((value.class_name, node.attr))
            known = self._package.classes[value.class_name]
            there = node.attr in known.methods or node.attr in known.attributes
        if not there:
            self.wrong.append(f"line {node.lineno}: {ast.unparse(node)} is not there")

    def _check_call(self, node: ast.Call) -> None:
        thing = self._thing(node.func)
        if thing is None or thing.kind not in ("class", "method"):
            return
        method = thing.method or "__init__"
        self.calls.append((f"{thing.class_name}.{method}", node))
        parameters = self._package.classes[thing.class_name].parameters(method)
        self.wrong += [f"line {node.lineno}: {ast.unparse(node)}: {what}" for what in parameters.wrong(node)]


def _assignments(module: ast.Module) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield node.optional_vars, node.context_expr
