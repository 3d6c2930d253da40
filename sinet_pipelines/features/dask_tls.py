"""The certificates with which a step connects to the Dask scheduler of its region, read at each connection."""

from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLError
from typing import TYPE_CHECKING

from sinet_pipelines.errors import UsageError, first_line
from sinet_pipelines.inventory.dask import TLS_FILES, DaskCluster

if TYPE_CHECKING:
    from distributed import Security


def security_of(cluster: DaskCluster, region: str) -> "Security | None":
    """What Dask uses for an encrypted connection; None for a scheduler on the loopback without certificates.

    Args:
        cluster: the Dask workers of the region.
        region: its name, for messages.

    Raises:
        UsageError: a file is absent, cannot be read, or is no certificate or key; the certificate has expired.
    """
    from cryptography.x509 import load_pem_x509_certificate
    from distributed import Security

    if not cluster.tls_folder:
        return None
    ca, certificate, key = files = [Path(cluster.tls_folder, name) for name in TLS_FILES]
    try:
        missing = [str(path) for path in files if not path.is_file()]
        for path in files[: 0 if missing else None]:
            path.open("rb").close()  # an error of Security does not name the file that this user may not read
    except OSError as error:
        raise UsageError(
            f"the certificates of dask of {region} cannot be read ({first_line(error)}); allow the user of the step "
            f"to read {cluster.tls_folder}"
        ) from error
    if missing:
        raise UsageError(
            f"dask of {region} has no file {', '.join(missing)} (needed in tls_folder: "
            f"{', '.join(TLS_FILES)}); put the scheduler's certificates there"
        )
    security = Security(
        tls_ca_file=str(ca), tls_client_cert=str(certificate), tls_client_key=str(key), require_encryption=True
    )
    try:
        security.get_connection_args("client")
        expired_at = load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (SSLError, OSError, ValueError) as error:
        raise UsageError(
            f"the certificates of dask of {region} in {cluster.tls_folder} cannot be used ({first_line(error)}); put "
            f"a certificate authority, a certificate and its key there, as PEM: {', '.join(TLS_FILES)}"
        ) from error
    if expired_at < datetime.now(UTC):
        raise UsageError(
            f"the certificate {certificate} of dask of {region} expired at {expired_at:%Y-%m-%d %H:%M} UTC; put a new "
            "one there"
        )
    return security
