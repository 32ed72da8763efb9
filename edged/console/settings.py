"""The console's side of the verb `configure`: the daemon makes every change, and says what it would do."""

import math
from collections.abc import Mapping
from typing import Any

from edged.console.labels import mistake
from edged.console.site import Site
from edged.errors import Unavailable, UsageError

Answer = dict[str, Any]
RESTART = (
    "This is kept, but nothing of it is in force until edged restarts, since its files hold another change that takes"
    " a restart: there is a button on Health."
)


def configure(site: Site, **asked: Any) -> Answer:
    """What the daemon answers. Raise UsageError, for people, where it refuses, Unavailable where none answers."""
    answer = site.ask("configure", **asked)
    if not answer.get("ok"):
        raise UsageError(f"{mistake(str(answer.get('error')))}; nothing was changed")
    return answer


def after(answer: Answer, path: str, done: str = "") -> str:
    """The page to see after a change: `path`, which says `done`, or that it takes a restart until the change is in force."""
    said = "restart" if answer["restart_needed"] else done
    return f"{path}?{said}=1" if said else path


def last_change(site: Site) -> tuple[Answer | None, str]:
    """What taking back the last change would do, None where there is none to take back; and why that is not known."""
    try:
        now = configure(site)
        return (configure(site, undo=True, **{"try": True}) if now["steps"] else None), ""
    except UsageError:
        return None, ""
    except Unavailable as error:
        return None, str(error)


def numbers(form: Mapping[str, str], names: Mapping[str, str]) -> dict[str, float]:
    """The fields `names` that the form holds, by name. Raise UsageError naming the field's label where one is no number."""
    found: dict[str, float] = {}
    for name, label in names.items():
        text = form.get(name, "").strip().replace(",", ".")
        if not text:
            continue
        try:
            found[name] = float(text)
        except ValueError:
            raise UsageError(f"{label}: {text[:20]} is not a number") from None
        if not math.isfinite(found[name]):
            raise UsageError(f"{label}: {text[:20]} is not a number")
    return found
