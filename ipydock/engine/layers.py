"""Layers told apart: which are shared between images, and what an image is made on top of."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..managed import Layer
from . import labels


def chains(diff_ids: Sequence[str]) -> Iterator[str]:
    """What tells each layer with all below it: the chain ids of the OCI image specification."""
    chain = ""
    for diff_id in diff_ids:
        both = f"{chain} {diff_id}".encode()
        chain = f"sha256:{hashlib.sha256(both).hexdigest()}" if chain else diff_id
        yield chain


def layers_of(
    diff_ids: Sequence[str], sizes: Sequence[int], foreign: Collection[str]
) -> tuple[Layer, ...]:
    """The layers with their sizes, which are 0 where it is not known which belongs to which.

    Histories of older builders do not tell which of their steps made a layer.
    """
    if len(diff_ids) != len(sizes):
        sizes = [0] * len(diff_ids)
    return tuple(
        Layer(chain=chain, size_bytes=size, foreign=chain in foreign)
        for chain, size in zip(chains(diff_ids), sizes, strict=True)
    )


def derived(images: Mapping[str, tuple[Mapping[str, str], Sequence[str]]]) -> set[str]:
    """The ids of the images that somebody made from one of ours and that inherited its labels.

    Args:
        images: labels and diff ids of each image that has our labels, by id.
    """
    found = set()
    for name, (said, layers) in images.items():
        if said.get(labels.MANAGED) != "image":  # a container of a rerun that was committed
            found.add(name)
            continue
        for other, (others, below) in images.items():
            same = others.get(labels.RECIPE) == said.get(labels.RECIPE) and other != name
            if same and len(below) < len(layers) and tuple(layers[: len(below)]) == tuple(below):
                found.add(name)
    return found


def in_order(tags: Iterable[str]) -> tuple[str, ...]:
    """The names of an image, those first that it has from ipydock and not those in registries."""
    return tuple(sorted(tags, key=lambda tag: (tag.count("/"), tag)))
