"""The assets from a region's landing zone to validated rows, for every application with one table of rows."""

from assets.framework.ingestion import landing_check_of, landing_zone_of, raw_rows
from assets.framework.regional import Made
from assets.framework.validation import quarantine_of, validated_rows
from resources.deployment import Deployment
from sinet_pipelines.applications.application import Application
from sinet_pipelines.errors import ContractError
from sinet_pipelines.inventory.regions import Region


def landed_rows_of(deployment: Deployment, application: Application, region: Region) -> list[Made]:
    """The landing zone of a region, its check, its raw rows, its validated rows, and quarantine.

    Raises:
        ContractError: the application declares no rows to land.
    """
    landed = application.landed
    if landed is None:
        raise ContractError(f"application {application.name} has no rows that land; state them as `landed`")
    return [
        landing_zone_of(deployment, application, region, landed.drop),
        landing_check_of(application, region),
        raw_rows(deployment, application, region, landed.drop, landed.raw),
        quarantine_of(deployment, application, region, landed.tables),
        validated_rows(deployment, application, region, landed.tables),
    ]
