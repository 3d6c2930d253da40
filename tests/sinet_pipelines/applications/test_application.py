"""Applications: their keys are made and parsed in one place, and what cannot be is refused with the cure."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest

from sinet_pipelines import applications
from sinet_pipelines.applications import NAMES, load_applications
from sinet_pipelines.applications.application import AssetName, by_name, parse_key
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.errors import ContractError


@pytest.mark.parametrize("name", [AssetName("turbofan", "training_set"), AssetName("milling", "raw_records", "EAST")])
def test_a_key_is_parsed_into_the_parts_it_was_made_of(name):
    assert parse_key(name.path) == name


def test_keys_are_region_application_name():
    assert TURBOFAN.key("raw_telemetry", region="EAST") == ("EAST", "turbofan", "raw_telemetry")
    assert TURBOFAN.key("training_set") == ("turbofan", "training_set")
    assert TURBOFAN.model == "turbofan_remaining_useful_life"


@pytest.mark.parametrize("path", [(), ("a",), ("a", "b", "c", "d")])
def test_a_key_with_other_parts_is_refused(path):
    with pytest.raises(ContractError, match="is no asset key"):
        parse_key(path)


@pytest.mark.parametrize("name", ["", "Turbofan", "a/b", "../x", "x" * 41])
def test_a_name_that_cannot_be_part_of_a_folder_is_refused(name):
    with pytest.raises(ContractError, match="cannot be the name of an application"):
        replace(TURBOFAN, name=name)


def test_two_tables_of_one_name_are_refused():
    with pytest.raises(ContractError, match="two tables named training_set"):
        replace(TURBOFAN, tables=(*TURBOFAN.tables, TURBOFAN.table("training_set")))


@pytest.mark.parametrize("name", ["truck_arrivals", "training_set_history"])
def test_a_table_with_the_name_of_versions_of_another_one_is_refused(name):
    with pytest.raises(
        ContractError, match=f"table {name} of application turbofan has the name of a table of versions"
    ):
        replace(TURBOFAN, tables=(*TURBOFAN.tables, replace(TURBOFAN.table("training_set"), name=name)))


def test_a_table_without_data_class_is_refused():
    with pytest.raises(ContractError, match="table training_set of application turbofan has no data class"):
        replace(TURBOFAN, tables=(replace(TURBOFAN.table("training_set"), data_class=None),))


def test_a_target_that_no_table_has_is_refused():
    task = replace(TURBOFAN.task, target="cycles_left")
    with pytest.raises(
        ContractError, match="no table of application turbofan has the target cycles_left .*name another"
    ):
        replace(TURBOFAN, task=task, served=replace(TURBOFAN.served, task=task))


def test_a_feature_that_no_training_set_has_is_refused_by_name():
    task = replace(TURBOFAN.task, feature_names=(*TURBOFAN.task.feature_names, "oil_degr"))
    with pytest.raises(ContractError, match=r"can teach rul_cycles: (training|evaluation)_set lacks oil_degr"):
        replace(TURBOFAN, task=task, served=replace(TURBOFAN.served, task=task))


def test_an_endpoint_for_another_task_is_refused():
    with pytest.raises(ContractError, match=r"served for rul_cycles and its task is machine_failure"):
        replace(MILLING, served=TURBOFAN.served, task=MILLING.task)


def test_a_source_without_landed_data_is_refused():
    with pytest.raises(ContractError, match="turbofan has a source and lands nothing; give it `landed`"):
        replace(TURBOFAN, landed=None)


def test_landed_data_without_their_tables_are_refused_by_name():
    tables = tuple(table for table in TURBOFAN.tables if table.name != "raw_telemetry")
    with pytest.raises(ContractError, match="turbofan lands raw_telemetry and has no such table"):
        replace(TURBOFAN, tables=tables)


def test_an_application_without_landed_data_says_so_where_they_are_needed():
    with pytest.raises(ContractError, match="turbofan lands nothing; give it `landed`"):
        _ = replace(TURBOFAN, landed=None, source=None).data


def test_one_contract_in_two_applications_is_refused():
    tables = (*MILLING.tables, TURBOFAN.table("window_features"))
    with pytest.raises(ContractError, match="turbofan and milling have one table window_features"):
        by_name([TURBOFAN, replace(MILLING, tables=tables)])


def test_one_name_for_sequences_of_two_applications_is_refused_since_agreements_name_a_table():
    sequences = replace(MILLING.table("live_records"), name="live_sequences")
    with pytest.raises(ContractError, match="a table live_sequences of class sequence, and an agreement names a table"):
        by_name([TURBOFAN, replace(MILLING, tables=(*MILLING.tables, sequences))])


def test_an_unknown_table_is_refused_with_the_known_ones():
    with pytest.raises(ContractError, match="has no table 'none' .*training_set"):
        TURBOFAN.table("none")


def test_two_applications_of_one_name_are_refused():
    with pytest.raises(ContractError, match="two applications are named 'turbofan'"):
        by_name([TURBOFAN, TURBOFAN])


def test_the_listed_applications_are_there():
    assert tuple(by_name(load_applications())) == NAMES


def test_a_listed_application_without_a_module_is_refused_with_the_file_that_is_needed(monkeypatch):
    monkeypatch.setattr(applications, "NAMES", ("turbofan", "nothing"))
    with pytest.raises(ContractError, match=r"no application 'nothing' \(needed: .*/nothing/application\.py"):
        load_applications()


def test_a_module_without_its_application_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "sinet_pipelines.applications.nothing.application", ModuleType("application"))
    monkeypatch.setitem(sys.modules, "sinet_pipelines.applications.nothing", ModuleType("nothing"))
    monkeypatch.setattr(applications, "NAMES", ("nothing",))
    with pytest.raises(ContractError, match=r"nothing.application has no value NOTHING"):
        load_applications()
