"""Writes boosted trees into a graph, in float64, so that it predicts exactly as LightGBM.

It does not use onnxmltools, which compares in float32 with thresholds that were found in float64. That sends a row
with a feature one ulp from a threshold to the wrong side. A float32 feature is exact in float64, the
thresholds are unchanged, the leaves are summed as LightGBM sums them, and `TreeEnsemble` of ai.onnx.ml 5 stores
the trees in half the bytes.
"""

import numpy as np

from sinet_pipelines.quantization.graph import ML_DOMAIN, GraphWriter
from sinet_pipelines.quantization.trees import BoostedTrees

_SUM = 1  # aggregate_function of TreeEnsemble
_NO_TRANSFORM = 0  # post_transform of TreeEnsemble
_LESS_OR_EQUAL = 0  # nodes_modes of TreeEnsemble: BRANCH_LEQ


def write_trees(graph: GraphWriter, features: str, trees: BoostedTrees) -> str:
    """The sum of the trees, float64 (batch, 1).

    Args:
        graph: the graph.
        features: float64 (batch, n_features), each value exact in float32, as in training.
        trees: the trees.
    """
    from onnx import numpy_helper

    modes = np.full(len(trees.features), _LESS_OR_EQUAL, dtype=np.uint8)
    return graph.node(
        "TreeEnsemble",
        features,
        domain=ML_DOMAIN,
        aggregate_function=_SUM,
        post_transform=_NO_TRANSFORM,
        n_targets=1,
        tree_roots=trees.roots.tolist(),
        nodes_featureids=trees.features.tolist(),
        nodes_modes=numpy_helper.from_array(modes, "modes"),
        nodes_splits=numpy_helper.from_array(trees.thresholds, "splits"),
        nodes_missing_value_tracks_true=trees.nan_goes_left.astype(int).tolist(),
        nodes_truenodeids=trees.left.tolist(),
        nodes_falsenodeids=trees.right.tolist(),
        nodes_trueleafs=trees.left_is_leaf.astype(int).tolist(),
        nodes_falseleafs=trees.right_is_leaf.astype(int).tolist(),
        leaf_targetids=[0] * len(trees.leaves),
        leaf_weights=numpy_helper.from_array(trees.leaves, "leaves"),
    )
