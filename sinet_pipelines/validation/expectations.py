"""A contract as a suite of Great Expectations, and results of that library: its own, or those of the compiled pass.

The library itself runs in tests and on a sample of every partition (`sample.py`); the compiled pass (`compiled.py`)
decides about all rows. The results of that pass become result objects of the library here, built by the expectations
themselves from the counts and rows that the pass found.
"""

import logging
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.validation.compiled import ROW, Checked
from sinet_pipelines.validation.rules import EQUAL, UNIQUE, RowRule, row_rules, with_recorded_date

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations import Expectation

COMPLETE = "COMPLETE"
_SHOWN = 20  # values of a result that is not complete


def run_great_expectations(
    rows: pl.DataFrame, contract: Contract, *, result_format: str = COMPLETE
) -> "ExpectationSuiteValidationResult":
    """The result of Great Expectations itself for some rows.

    Args:
        rows: (n, columns) raw rows; needs the contract's columns, `unparsed` and `event_date`.
        contract: its columns define the rules.
        result_format: `BOOLEAN_ONLY`, `BASIC`, `SUMMARY` or `COMPLETE`.

    Raises:
        RuntimeError: a rule could not be evaluated, which is a defect of the platform.
    """
    batch = with_recorded_date(rows.lazy()).collect().to_pandas()
    result = _definition(contract).run(batch_parameters={"dataframe": batch}, result_format=result_format)
    for outcome in result.results:
        if outcome.exception_info and any(info.get("raised_exception") for info in _exceptions(outcome.exception_info)):
            raise RuntimeError(f"the rule {rule_of(outcome)!r} could not be evaluated: {outcome.exception_info}")
    return result


def results_of(checked: Checked, *, result_format: str = COMPLETE) -> "ExpectationSuiteValidationResult":
    """The result of the compiled pass as the result object that Great Expectations returns for the same rows.

    Args:
        checked: result of the pass.
        result_format: `BOOLEAN_ONLY`, `BASIC`, `SUMMARY` or `COMPLETE`.
    """
    import great_expectations as gx
    from great_expectations.core import ExpectationSuiteValidationResult

    results = [
        _outcome(expectation, checked, number, result_format)
        for number, expectation in enumerate(expectations_of(checked.contract))
    ]
    successes = sum(bool(one.success) for one in results)
    return ExpectationSuiteValidationResult(
        success=successes == len(results),
        results=results,
        suite_name=checked.contract.name,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": successes,
            "unsuccessful_expectations": len(results) - successes,
            "success_percent": successes / len(results) * 100,
        },
        meta={"great_expectations_version": gx.__version__},
    )


def rule_of(outcome: "ExpectationValidationResult") -> str:
    """The text of the rule that a result is about."""
    return str(outcome.expectation_config.meta["rule"])


@lru_cache(maxsize=8)
def expectations_of(contract: Contract) -> "tuple[Expectation, ...]":
    """The contract's expectations, in the order of `row_rules`."""
    import great_expectations.expectations as gxe

    return tuple(
        _quick(getattr(gxe, rule.expectation))(**rule.arguments, meta={"rule": rule.text})
        for rule in row_rules(contract)
    )


def _outcome(
    expectation: "Expectation", checked: Checked, number: int, result_format: str
) -> "ExpectationValidationResult":
    """The result of one rule, built by the expectation from the counts and rows of the pass."""
    rule, broken = checked.rules[number], checked.rows_of(number)
    indices = broken[ROW].to_list()
    values = _values(rule, broken)
    metric = str(expectation.map_metric)
    whole = result_format == COMPLETE
    metrics = {
        "table.row_count": checked.rows,
        "column_values.nonnull.unexpected_count": checked.missing[number],
        f"{metric}.filtered_row_count": checked.rows - checked.missing[number],
        f"{metric}.unexpected_count": len(indices),
        f"{metric}.unexpected_values": values if whole else values[:_SHOWN],
        f"{metric}.unexpected_index_list": indices,
        f"{metric}.unexpected_index_query": f"df.filter(items={indices}, axis=0)",
    }
    found = expectation._validate(metrics, {"result_format": result_format})  # noqa: SLF001
    return expectation._build_evr(raw_response=found)  # noqa: SLF001


def _values(rule: RowRule, broken: pl.DataFrame) -> list[Any]:
    frame = broken.select(rule.columns).to_pandas()
    if rule.expectation == UNIQUE:
        return list(frame.to_dict("records"))
    if rule.expectation == EQUAL:
        return list(zip(*(frame[name].to_numpy() for name in rule.columns), strict=True))
    return list(frame[rule.columns[0]])


def _exceptions(info: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "raised_exception" in info:
        yield info
    else:
        yield from (one for one in info.values() if isinstance(one, dict))


@lru_cache(maxsize=8)
def _definition(contract: Contract) -> Any:
    """The contract's validation definition, built once: building takes a third of a run on 20,000 rows."""
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas(contract.name)
    batch = source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("step")
    suite = context.suites.add(gx.ExpectationSuite(name=contract.name, expectations=list(expectations_of(contract))))
    return context.validation_definitions.add(gx.ValidationDefinition(name=contract.name, data=batch, suite=suite))


@lru_cache(maxsize=8)
def _quick(kind: Any) -> Any:
    """The same kind of expectation, but one that derives its configuration once.

    Great Expectations 1.x derives it 140 times for each expectation of a run, a third of the time of a small batch.
    """
    from great_expectations.compatibility import pydantic

    logging.getLogger("great_expectations.expectations.registry").setLevel(logging.ERROR)  # warns of the replacement

    def configuration(self: Any) -> Any:
        if self._derived is None:
            object.__setattr__(self, "_derived", kind.configuration.fget(self))
        return self._derived

    def set_attribute(self: Any, name: str, value: object) -> None:
        kind.__setattr__(self, name, value)
        object.__setattr__(self, "_derived", None)

    members = {"_derived": pydantic.PrivateAttr(None), "configuration": property(configuration)}
    # its name is its type in results: under the same one it takes the place of the library's kind in this process
    return type(kind)(kind.__name__, (kind,), {"__module__": __name__, "__setattr__": set_attribute, **members})
