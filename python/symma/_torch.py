"""Which torch is there. Two libtorches in one process crash, so the wrong one is refused before anything is loaded."""
from __future__ import annotations

import importlib.util
import os
import re

from . import _built


def _loaded() -> list[str]:
    """The libtorches that this process has loaded already."""
    try:
        with open("/proc/self/maps") as maps:
            return sorted({line.split()[-1] for line in maps if "libtorch_cpu" in line})
    except OSError:
        return []


def check() -> None:
    """Raises ImportError, in one line, unless this Python's torch is the one that the package was built against."""
    built = f"symma was built against torch {_built.TORCH}" + (f" ({_built.LIBTORCH})" if _built.LIBTORCH else "")
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        remedy = "apt install python3-torch, and use a Python that sees it" if _built.LIBTORCH else f"pip install 'torch=={_built.TORCH}.*'"
        raise ImportError(f"{built}, and this Python has none; {remedy}")
    folder = spec.submodule_search_locations[0]
    version = "of no version"
    try:
        with open(os.path.join(folder, "version.py")) as text:
            found = re.search(r"^__version__ = '([^']+)'", text.read(), re.M)
            version = found[1] if found else version
    except OSError:
        pass
    here = os.path.realpath(os.path.join(folder, "lib", "libtorch_cpu.so"))
    same = here == _built.LIBTORCH if _built.LIBTORCH else re.match(r"[0-9]+\.[0-9]+", version + "?")
    same = same and version.startswith(_built.TORCH + ".") if same else same
    others = [path for path in _loaded() if os.path.realpath(path) != here]
    if same and not others:
        return
    what = f"{others[0]} is loaded" if same else f"this Python has torch {version} ({folder})"
    remedy = ("use a Python that sees Debian's python3-torch" if _built.LIBTORCH else f"pip install 'torch=={_built.TORCH}.*'")
    raise ImportError(f"{built}, and {what}: two in one process crash; {remedy}, or build symma against yours: "
                      "pip install --no-build-isolation .")
