"""Drawings of worlds as arrays. They are made of four shapes (symma/envs/drawing.h), so no library is needed to draw them."""
from __future__ import annotations

import math
import re
import xml.etree.ElementTree as xml

import numpy as np

_WORDS = {"white": (255, 255, 255), "black": (0, 0, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "red": (255, 0, 0),
          "green": (0, 128, 0), "blue": (0, 0, 255), "gold": (255, 215, 0), "silver": (192, 192, 192), "orange": (255, 165, 0),
          "lightgray": (211, 211, 211), "lightgrey": (211, 211, 211), "darkgray": (169, 169, 169), "brown": (165, 42, 42),
          "yellow": (255, 255, 0), "purple": (128, 0, 128), "pink": (255, 192, 203), "whitesmoke": (245, 245, 245), "crimson": (220, 20, 60)}

def _colour(word: str) -> np.ndarray:
    if word.startswith("#"):
        digits = word[1:] if len(word) == 7 else "".join(c * 2 for c in word[1:4])
        return np.array([int(digits[i:i + 2], 16) for i in (0, 2, 4)], np.float64)
    return np.array(_WORDS.get(word, (128, 128, 128)), np.float64)


def picture(svg: str, size: int = 256) -> np.ndarray:
    """The drawing as [H, W, 3] uint8; its longer side is `size` pixels. Words are left out."""
    root = xml.fromstring(re.sub(r'\sxmlns="[^"]+"', "", svg, count=1))
    left, top, width, height = (float(v) for v in root.get("viewBox").split())
    scale = size / max(width, height)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    image = np.full((h, w, 3), 255.0)
    ys, xs = np.mgrid[0:h, 0:w]
    xs, ys = (xs + 0.5) / scale + left, (ys + 0.5) / scale + top
    for e in root.iter():
        number = lambda name, otherwise=0.0: float(e.get(name, otherwise))
        if e.tag == "rect":
            x, y = number("x"), number("y")
            inside = (xs >= x) & (xs < x + number("width")) & (ys >= y) & (ys < y + number("height"))
        elif e.tag == "circle":
            inside = (xs - number("cx")) ** 2 + (ys - number("cy")) ** 2 <= number("r") ** 2
        elif e.tag == "line":
            x1, y1, x2, y2 = (number(n) for n in ("x1", "y1", "x2", "y2"))
            long = math.hypot(x2 - x1, y2 - y1) or 1e-9
            t = np.clip(((xs - x1) * (x2 - x1) + (ys - y1) * (y2 - y1)) / long**2, 0, 1)
            inside = np.hypot(xs - x1 - t * (x2 - x1), ys - y1 - t * (y2 - y1)) <= max(number("stroke-width", 1) / 2, 0.5 / scale)
        else:
            continue
        fill = e.get("stroke") if e.tag == "line" else e.get("fill", "black")
        if fill == "none":
            continue
        a = number("fill-opacity", 1.0)
        image[inside] = (1 - a) * image[inside] + a * _colour(fill)
    return image.round().astype(np.uint8)
