"""Pictures compared by their pixels: the bytes of a PNG differ with every library version."""

from __future__ import annotations

import base64
import io
from functools import reduce

from PIL import Image, ImageChops, UnidentifiedImageError


def difference(old: str, new: str) -> str:
    """What differs between two base64-encoded pictures; empty if every pixel is the same."""
    if old == new:
        return ""
    try:
        left, right = _decoded(old), _decoded(new)
    except (ValueError, OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        return f"one of the pictures cannot be read ({error})"
    if left.size != right.size:
        return f"{left.width}x{left.height} pixels -> {right.width}x{right.height}"
    channels = ImageChops.difference(left, right).split()
    changed = reduce(ImageChops.lighter, channels).point(lambda value: 255 * bool(value))
    share = changed.histogram()[255] / (left.width * left.height)
    return f"{share:.2%} of the pixels differ" if share else ""


def _decoded(text: str) -> Image.Image:
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        pixels: Image.Image = picture.convert("RGBA")
        return pixels
