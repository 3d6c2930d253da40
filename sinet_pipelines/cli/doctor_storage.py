"""Lost or damaged storage of a home, as findings of `sinet doctor`."""

from pathlib import Path

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.cli.orchestrator import enter, load_definitions, opened_instance
from sinet_pipelines.cli.state_health import state_faults

SHOWN = 20  # faults; further ones usually have the same cause


def storage_findings(home: Path, project: Path, *, deep: bool) -> list[Finding]:
    """One finding for each fault, or one finding that all storage is there.

    Args:
        home: the home whose storage is checked.
        project: the checkout, whose assets define what storage there should be.
        deep: read every table, blob and database; else compare names and sizes alone.
    """
    enter(project, home)
    from resources.deep import all_faults, deep_faults
    from resources.deployment import this_deployment
    from resources.materializations.kept import Kept

    faults = list(state_faults(home, thorough=deep))
    if not faults:
        with opened_instance() as instance:
            kept = Kept(instance, load_definitions().resolve_asset_graph(), this_deployment(home))
            faults = deep_faults(kept) if deep else all_faults(kept)
    if not faults:
        return [Finding("storage", True, "everything recorded is there" + (" and holds what was recorded" * deep))]
    found = [Finding("storage", False, f"{fault.path}: {fault.found}", fault.cure) for fault in faults[:SHOWN]]
    more = len(faults) - SHOWN
    return found if more <= 0 else [*found, Finding("storage", False, f"{more} more faults", "`sinet run`")]
