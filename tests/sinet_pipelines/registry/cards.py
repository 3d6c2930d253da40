"""A card with made-up facts, for tests to tell and to change."""

from sinet_pipelines.registry.card_facts import (
    Artefact,
    Candidate,
    Coverage,
    Data,
    Decision,
    Experiment,
    Intervals,
    ModelCard,
    Protocol,
    Slice,
    Terms,
    Versions,
)

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TERMS = Terms("engines", "engine", "run to failure", "live", "RMSE", "cycles", second="PHM08 score")


def some_card():
    """All sections filled."""
    return ModelCard(
        name="turbofan_remaining_useful_life",
        application="turbofan",
        family="non-negative blend of gradient boosting, a perceptron and a causal temporal convolution",
        terms=TERMS,
        intended_use=(
            "Maintenance planners rank live engines by the flight cycles they have left.",
            "A person decides; the answer is one input among others.",
        ),
        out_of_scope=(
            "Deciding alone that an engine flies on.",
            "Engines of another type than those it was fitted on.",
        ),
        factors=(
            "Region (EAST, WEST, NULL_ISLAND): measured below.",
            "Operating regime: sensors are standardised per regime; errors are not broken down by it.",
        ),
        data=Data(
            fleet="FD001",
            simulated=False,
            first_day="2026-10-30",
            last_day="2026-11-23",
            history_groups=100,
            live_groups=100,
            rows=33_727,
            set_aside=12,
            source="A. Saxena, K. Goebel 2008, Turbofan Engine Degradation Simulation Data Set, NASA Ames",
            licence="US Government work, public domain",
        ),
        protocol=Protocol(
            labels="min(RUL, 125) cycles, from failure events (Heimes 2008)",
            folds=3,
            held_out_share=0.2,
            seed=0,
            metrics=(
                "RMSE in cycles, truth capped at 125: what the literature compares.",
                "PHM08 score: late is dearer than early (Saxena et al. 2008).",
            ),
        ),
        candidates=(
            Candidate("blend", 12.31, True, "least error out of fold"),
            Candidate("gradient_boosting", 12.74, False, "0.43 cycles more than the blend"),
            Candidate("temporal_convolution", 13.02, False, "0.71 cycles more than the blend"),
        ),
        slices=(
            Slice(
                "all",
                "all",
                120,
                260,
                {"model": 11.42, "ridge": 16.9, "constant": 38.71},
                {"model": 5321.0, "ridge": 1.2e4, "constant": 3.1e6},
            ),
            Slice("region", "EAST", 40, 88, {"model": 11.05, "ridge": 16.1, "constant": 37.9}),
            Slice("region", "WEST", 40, 84, {"model": 11.81, "ridge": 17.3, "constant": 39.4}),
            Slice("region", "NULL_ISLAND", 40, 88, {"model": 11.39, "ridge": 17.2, "constant": 38.8}),
            Slice("origin", "live", 100, 100, {"model": 11.9, "ridge": 17.0, "constant": 41.0}),
        ),
        intervals=Intervals(
            0.9,
            "split conformal on out-of-fold errors, width by predicted life (Lei et al. 2018)",
            (
                Coverage("out of fold", 1441, 1600, 1416, 1463),
                Coverage("live", 91, 100, 84, 95),
                Coverage("live, EAST", 24, 33, 26, 33),
                Coverage("live, WEST", 0, 0, 0, 0),
            ),
        ),
        artefacts=(
            Artefact("blend FP32", 11.42, 2_310_000, 0.52, "served", "the trees are the larger part; FP32 as they are"),
            Artefact("convolution FP32", 12.02, 281_000, 0.35, "lost", "0.60 cycles more than the blend"),
            Artefact("convolution INT8", 12.11, 79_000, 0.17, "lost", "a quarter of the bytes, 0.69 cycles more"),
        ),
        experiments=(
            Experiment(
                "spiking network",
                "NULL_ISLAND, neuromorphic (simulated on CPU)",
                15.8,
                "not promoted",
                "experiments of NULL_ISLAND are barred; and 4.4 cycles more than the champion",
            ),
        ),
        considerations=("No row is about a person.", "A late answer costs more than an early one; the score says so."),
        limits=(
            "Engines that live longer than 125 cycles more are all told 125.",
            "Fewer than ten cycles: no baseline.",
        ),
        versions=Versions(
            "3",
            SHA256,
            "aa0bf59",
            {"training_set": "4e1243bd22c66e76", "window_features": "c0ffee"},
            "2026-11-24 12:00 UTC",
        ),
        decision=Decision(True, "not worse: engine-wise RMSE 11.42 against the champion's 11.60 on 120 engines"),
        reproduce="make run DATA=../shared/data/cmapss",
    )
