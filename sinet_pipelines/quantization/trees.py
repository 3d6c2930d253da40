"""Reads boosted trees from LightGBM's text into flat arrays for a graph.

The text is the model (LightGBM writes every threshold and leaf with 17 digits, so that nothing is lost), and reading it
needs no LightGBM. Its format is defined in `include/LightGBM/tree.h`: a sample goes left where
`value <= threshold`; a child below zero is leaf `~child`; `decision_type` holds, from the lowest bit, one bit for
"categorical", one for "missing goes left" and two for what counts as missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import DisagreementError

#: Objectives whose prediction is the plain sum of the leaves.
PLAIN_OBJECTIVES = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
#: Objectives whose logit is the plain sum of the leaves.
LOGIT_OBJECTIVES = ("binary",)

_DEFAULT_LEFT = 2  # decision_type, bit 1
_MISSING_NONE, _MISSING_ZERO = 0, 1  # decision_type, bits 2 and 3; 2 is NaN

#: A tree without a split: one node with its leaf on both sides.
_NO_SPLIT = {"split_feature": "0", "threshold": "0", "decision_type": "0", "left_child": "-1", "right_child": "-1"}


@dataclass(frozen=True)
class BoostedTrees:
    """Boosted trees: the prediction is the sum, over the trees, of the leaf of a row of features.

    Attributes:
        n_features: features a row must have.
        roots: the first node of each tree, (n_trees,).
        features: the feature that a node compares, (n_nodes,).
        thresholds: a row goes left where its feature is at most this, (n_nodes,) float64.
        nan_goes_left: where a row without the feature goes, (n_nodes,) bool.
        left: the next node, or leaf where `left_is_leaf`, (n_nodes,).
        right: the same for the others, (n_nodes,).
        left_is_leaf: (n_nodes,) bool.
        right_is_leaf: (n_nodes,) bool.
        leaves: the value of each leaf, (n_leaves,) float64.
    """

    n_features: int
    roots: NDArray[np.int64]
    features: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    nan_goes_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_is_leaf: NDArray[np.bool_]
    right_is_leaf: NDArray[np.bool_]
    leaves: NDArray[np.float64]


def read_trees(model_text: str) -> BoostedTrees:
    """The trees of a LightGBM model's text (`Booster.model_to_string()`).

    Raises:
        DisagreementError: the text has something that a sum of numeric splits lacks (another objective, averaging,
            classes, categories, linear leaves, zero as missing), so that its graph would predict differently.
    """
    forest, end, _ = model_text.partition("\nend of trees")
    head, *blocks = forest.split("\nTree=")
    if not end or not blocks:
        raise DisagreementError(
            f"the text is not a complete LightGBM model ({len(blocks)} trees, end {end!r}); write it again"
        )
    header = _fields(head.splitlines())
    _refuse_unless_plain_sum(header, head)
    trees = [_read_tree(_fields(block.splitlines()[1:])) for block in blocks]
    first_node = np.cumsum([0] + [len(tree["features"]) for tree in trees], dtype=np.int64)
    first_leaf = np.cumsum([0] + [len(tree["leaves"]) for tree in trees], dtype=np.int64)
    for tree, node, leaf in zip(trees, first_node[:-1], first_leaf[:-1], strict=True):
        for side in ("left", "right"):
            tree[side] = tree[side] + np.where(tree[f"{side}_is_leaf"], leaf, node)
    flat = {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}
    return BoostedTrees(n_features=int(header["max_feature_idx"]) + 1, roots=first_node[:-1], **flat)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _refuse_unless_plain_sum(header: Mapping[str, str], head: str) -> None:
    objective = header.get("objective", "").split(" ")
    steepness = next((word.split(":")[1] for word in objective if word.startswith("sigmoid:")), "1")
    if objective[0] not in (*PLAIN_OBJECTIVES, *LOGIT_OBJECTIVES) or "sqrt" in objective or float(steepness) != 1.0:
        raise DisagreementError(
            f"the model's objective is {' '.join(objective)!r}, whose prediction is not the sum of its leaves "
            f"(known: {', '.join((*PLAIN_OBJECTIVES, *LOGIT_OBJECTIVES))}); train with one of these"
        )
    if header.get("num_tree_per_iteration") != "1" or "average_output" in head:
        raise DisagreementError(
            "the model averages its trees or has classes (allowed: one boosted sum); train with boosting=gbdt"
        )


def _read_tree(fields: Mapping[str, str]) -> dict[str, NDArray]:
    """One tree's arrays by the names of `BoostedTrees`, its nodes and leaves counted from 0."""
    if int(fields["num_cat"]) or int(fields.get("is_linear", "0")):
        raise DisagreementError("the model has categorical splits or linear leaves; only numeric splits become a graph")
    if int(fields["num_leaves"]) == 1:
        fields = {**fields, **_NO_SPLIT}
    decisions = _numbers(fields["decision_type"], np.int64)
    missing = (decisions >> 2) & 3
    if np.any(missing == _MISSING_ZERO):
        raise DisagreementError("the model treats zero as missing; train with zero_as_missing=false")
    thresholds = _numbers(fields["threshold"], np.float64)
    left, right = (_numbers(fields[f"{side}_child"], np.int64) for side in ("left", "right"))
    return {
        "features": _numbers(fields["split_feature"], np.int64),
        "thresholds": thresholds,
        # Where training had nothing missing LightGBM reads NaN as 0.
        "nan_goes_left": np.where(missing == _MISSING_NONE, thresholds >= 0.0, (decisions & _DEFAULT_LEFT) > 0),
        "left": np.where(left < 0, ~left, left),
        "right": np.where(right < 0, ~right, right),
        "left_is_leaf": left < 0,
        "right_is_leaf": right < 0,
        "leaves": _numbers(fields["leaf_value"], np.float64),
    }


def _numbers(words: str, dtype: type) -> NDArray:
    return np.array(words.split(), dtype=dtype)
