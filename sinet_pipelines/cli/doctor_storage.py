"""What storage of a home lost or damaged, as findings of `sinet doctor`."""

from pathlib import Path

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.cli.orchestrator import enter, load_definitions, opened_instance
from sinet_pipelines.cli.state_health import state_faults

SHOWN = 20  # faults; more of one cause say nothing new


def storage_findings(home: Path, project: Path, *, deep: bool) -> list[Finding]:
    """One finding a fault, or one that says that all is there.

    Args:
        home: whose storage is looked at.
        project: the checkout, whose assets say what there should be.
        deep: read every table, blob and database instead of looking at names and sizes.
    """
    enter(project, home)
    from resources.deep import all_faults, deep_faults
    from resources.kept import Kept

    faults = list(state_faults(home, thorough=deep))
    if not faults:
        with opened_instance() as instance:
            kept = Kept(instance, load_definitions().resolve_asset_graph(), home)
            faults = deep_faults(kept) if deep else all_faults(kept)
    if not faults:
        return [Finding("storage", True, "everything recorded is there" + (" and holds what was recorded" * deep))]
    found = [Finding("storage", False, f"{fault.path}: {fault.found}", fault.cure) for fault in faults[:SHOWN]]
    more = len(faults) - SHOWN
    return found if more <= 0 else [*found, Finding("storage", False, f"{more} faults more", "`sinet run`")]
