"""Assignment points: the way from each point of a tree up to its root."""

from collections import defaultdict
from collections.abc import Mapping

EVERYWHERE = ""
"""The point of policies that name none: above all trees."""

_MAX_DEPTH = 64


def tree_of(trees: Mapping[str, list[str]]) -> dict[str, str]:
    """Return the tree of each type of points; a type that is not there belongs to the one tree without a name."""
    return {level: tree for tree, levels in trees.items() for level in levels}


def chains(parents: Mapping[str, str], trees: Mapping[str, list[str]]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return by tree: each point, by ``type:name`` and by its name where that is unique, with itself and its ancestors.

    Raises ValueError when the parents make no tree.
    """
    level = tree_of(trees)
    found: dict[str, dict[str, tuple[str, ...]]] = {tree: {} for tree in (trees or ("",))}
    bare: dict[tuple[str, str], list[str]] = defaultdict(list)
    for point in parents:
        chain = []
        one = point
        while one:
            chain.append(one)
            if one not in parents or len(chain) > _MAX_DEPTH:
                raise ValueError("the assignment points are no tree")
            one = parents[one]
        kind, _, name = point.partition(":")
        tree = level.get(kind, "")
        found.setdefault(tree, {})[point] = tuple(chain)
        bare[tree, name].append(point)
    for (tree, name), points in bare.items():
        # A name that two points share tells neither: a request must then give it as type:name.
        if len(points) == 1:
            found[tree].setdefault(name, found[tree][points[0]])
    return found
