"""Writes a random forest into a graph, in float64: the mean of the leaves of its trees."""

import numpy as np

from sinet_pipelines.models.random_forest import ForestModel
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.tree_graph import write_trees
from sinet_pipelines.quantization.trees import BoostedTrees


def write_forest(graph: GraphWriter, features: str, model: ForestModel) -> str:
    """The forest's prediction, float64 (batch, 1).

    Args:
        graph: the graph.
        features: float64 (batch, n_features), each value exact in float32.
        model: the forest.
    """
    trees = as_sum(model)
    total = write_trees(graph, features, trees)
    return graph.node("Div", total, graph.constant(float(len(model.roots)), np.float64))


def as_sum(model: ForestModel) -> BoostedTrees:
    """The forest as trees whose leaves are summed; a tree of one leaf becomes a node with that leaf on both sides."""
    is_leaf = model.features < 0
    alone = np.intersect1d(model.roots, np.flatnonzero(is_leaf))
    kept = ~is_leaf
    kept[alone] = True
    node_of, leaf_of = np.cumsum(kept) - 1, np.cumsum(is_leaf) - 1
    sides = {}
    for side in ("left", "right"):
        target = getattr(model, side)[kept]
        sides[side] = np.where(is_leaf[target], leaf_of[target], node_of[target])
        sides[f"{side}_is_leaf"] = is_leaf[target]
    return BoostedTrees(
        n_features=len(model.feature_names),
        roots=node_of[model.roots],
        features=np.maximum(model.features[kept], 0),
        thresholds=model.thresholds[kept],
        nan_goes_left=np.zeros(int(kept.sum()), dtype=bool),
        leaves=model.values[is_leaf],
        **sides,
    )
