"""A process of its own that imports real bindings: holds them against a surface (JSON on stdin), and our code against them."""

import ctypes
import inspect
import json
import re
import sys


def signatures(function) -> list[list[tuple[str, bool]]]:
    """Parameters (name, has a default) of each overload, as pybind11 writes them into the docstring."""
    found = []
    for line in (function.__doc__ or "").splitlines():
        match = re.match(r"(?:\d+\. )?(\w+)\((.*)\) -> ", line)
        if match and not match[2].startswith("*args"):
            found.append([(part.split(":")[0].strip(), " = " in part) for part in split(match[2])])
    return found


def split(arguments: str) -> list[str]:
    """At commas outside brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def takes(function, wanted: list[str], required: int) -> bool:
    """Whether a call that fits the double fits the real one, by place or by name."""
    for parameters in signatures(function):
        real = [parameter for parameter in parameters if parameter[0] != "self"]
        names = [name for name, _ in real]
        needed = sum(not default for _, default in real)
        if names[: len(wanted)] == wanted and needed <= len(wanted) and needed >= required:
            return True
    return False


def problems_of(trt, surface) -> list[str]:
    wrong = []
    for name, expected in surface.items():
        real = getattr(trt, name, None)
        if real is None:
            wrong.append(f"{name}: is not there")
        elif expected["kind"] == "enum":
            wrong += [f"{name}.{member}: is not there" for member in expected["members"] if not hasattr(real, member)]
        elif expected["kind"] == "function":
            if list(inspect.signature(real).parameters) != expected["parameters"]:
                wrong.append(f"{name}: takes {inspect.signature(real)}")
        else:
            wrong += [f"{name}.{member}: {text}" for member, text in members(real, expected["members"])]
    return wrong


def members(real, expected):
    for member, wanted in expected.items():
        found = inspect.getattr_static(real, member, None)
        if found is None:
            yield member, "is not there"
        elif wanted["kind"] == "method" and not takes(getattr(real, member), wanted["parameters"], wanted["required"]):
            yield member, f"takes {signatures(getattr(real, member))}, not {wanted['parameters']}"
        elif wanted["kind"] == "property" and not isinstance(found, property):
            yield member, "is no property"
        elif wanted["kind"] == "property" and wanted["settable"] and found.fset is None:
            yield member, "cannot be set"


def gives_bytes(kind) -> bool:
    """Whether the class has the buffer protocol: CPython's tp_as_buffer->bf_getbuffer."""
    table = ctypes.c_void_p.from_address(id(kind) + 20 * ctypes.sizeof(ctypes.c_void_p)).value
    return bool(table and ctypes.c_void_p.from_address(table).value)


def our_code(trt) -> list[str]:
    """What can run without a GPU does, on the real bindings; gives what went wrong."""
    from edged.inference.tensorrt.binding import import_tensorrt

    right = {
        "import_tensorrt": import_tensorrt() is trt,
        "the logger": logger_works(trt),
        "the monitor": monitor_works(trt),
        "the network's flags": flags_exist(trt),
        "shapes are sequences": tuple(trt.Dims([-1, 3]))[:1] == (-1,) and tuple(trt.Dims((4, 5))) == (4, 5),
        "nptype": [trt.nptype(kind).__name__ for kind in (trt.DataType.UINT8, trt.DataType.FLOAT)]
        == ["uint8", "float32"],
        "plans can be turned into bytes": gives_bytes(trt.IHostMemory) and not gives_bytes(trt.ICudaEngine),
        "a build without a GPU": build_is_refused(trt),
    }
    return [f"our code: {what}" for what, holds in right.items() if not holds]


def logger_works(trt) -> bool:
    from edged.inference.tensorrt.binding import the_log

    log = the_log(trt)
    log.log(trt.ILogger.ERROR, "bad\n news")
    log.log(trt.ILogger.INFO, "fine")
    return log.take_errors() == "bad news" and not log.take_errors()


def monitor_works(trt) -> bool:
    from edged.inference.tensorrt import build

    told = []
    monitor = build._monitor(trt, lambda *what: told.append(what))
    if monitor is None:
        return not hasattr(trt, "IProgressMonitor")
    monitor.phase_start("a", None, 2)
    monitor.phase_start("b", "a", 2)
    goes_on = monitor.step_complete("a", 0)
    monitor.phase_finish("a")
    return goes_on is True and told == [("a", 0.0), ("a", 0.5), ("a", 1.0)]


def flags_exist(trt) -> bool:
    from edged.inference.tensorrt import build
    from edged.inference.tensorrt.binding import build_way, parse_version

    ways = [build_way(parse_version(trt.__version__), precision) for precision in ("fp16", "fp32")]
    return all(
        build._network_flags(trt, way) and (hasattr(trt.BuilderFlag, "FP16") or not way.half_flag) for way in ways
    )


def build_is_refused(trt) -> bool:
    """The real builder finds no GPU: that must come out as our one line."""
    from edged.errors import ModelError
    from edged.inference.manifest import ProfileEntry
    from edged.inference.tensorrt import build
    from tests.support.small_models import small_model

    profile = ProfileEntry(min=(1, 4, 4, 3), opt=(1, 4, 4, 3), max=(1, 4, 4, 3))
    try:
        build.build_plan(trt, "small", small_model(), {"faces": profile}, build.BuildOptions())
    except ModelError as error:
        return "its engine cannot be built" in str(error)
    return False


def main() -> None:
    import tensorrt_bindings as trt

    sys.modules["tensorrt"] = trt
    wrong = problems_of(trt, json.load(sys.stdin))
    print(json.dumps({"version": trt.__version__, "wrong": wrong + our_code(trt)}))


if __name__ == "__main__":
    main()
