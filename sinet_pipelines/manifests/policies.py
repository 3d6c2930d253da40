"""Bucket policies of the regions' stores, with which a store itself enforces residency.

A region's own identity reads and writes its root. Another region's identity reads tables of the classes that it
accepts, blobs where it accepts models, and the tables of sequences under an agreement with it, until its last day. No
other identity reads `raw/`, `personal/` or `landing/`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.layout import BLOBS, LANDING

FOLDER = "policies"  # below `deploy/` and below the folder of `sinet render --deploy`
VERSION = "2012-10-17"  # the newest version of the policy language
MAX_BYTES = 20_480  # of a bucket policy, the limit of Amazon and most stores
_OWN_ALONE = (DataClass.RAW, DataClass.PERSONAL)
_READ, _LIST = "s3:GetObject", "s3:ListBucket"
_WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_OF_BUCKET = (_LIST, "s3:GetBucketLocation", "s3:ListBucketMultipartUploads")


def files(regions: Sequence[Region]) -> dict[str, str]:
    """The policy of each region's bucket, as JSON by file name."""
    return {f"{region.key}.json": as_json(bucket_policy(region, regions)) for region in regions}


def as_json(policy: Mapping[str, Any]) -> str:
    """The text of a policy."""
    return json.dumps(policy, indent=2) + "\n"


def bucket_policy(region: Region, regions: Iterable[Region]) -> dict[str, Any]:
    """The policy of the bucket with a region's data.

    Args:
        region: region of the bucket; where its root is a folder, the bucket is `sinet-<region>`.
        regions: all regions of the inventory, with the identities `sinet-<region>`.
    """
    store = root_for(region)
    statements = [*_own(region, store)]
    for reader in regions:
        if reader.name != region.name:
            statements += _of_reader(region, reader, store)
    return {"Version": VERSION, "Statement": [*statements, _refusal(region, store)]}


def root_for(region: Region) -> Root:
    """The root of a region if it is on a store, else the bucket for a later move of its data."""
    if region.root is not None and not region.root.is_local:
        return region.root
    return Root(f"s3://{identity(region)}")


def identity(region: Region) -> str:
    """The name of a region's user at every store.

    >>> from sinet_pipelines.inventory.regions import read_inventory
    >>> identity(read_inventory(None).region("NULL_ISLAND"))
    'sinet-null-island'
    """
    return f"sinet-{region.key.replace('_', '-')}"


def _own(region: Region, store: Root) -> list[dict[str, Any]]:
    who, name = _principal(region, store), _sid(region)
    return [
        _statement(f"{name}Bucket", who, _OF_BUCKET, [_arn(store)]),
        _statement(f"{name}Objects", who, (_READ, *_WRITE), [_arn(store, "*")]),
    ]


def _of_reader(region: Region, reader: Region, store: Root) -> list[dict[str, Any]]:
    """The statements that allow another region's identity to read and list objects."""
    who, name = _principal(reader, store), _sid(reader)
    open_to = [f"{one}/*" for one in (DataClass.FEATURE, DataClass.MODEL) if one in reader.accepts]
    open_to += [f"{BLOBS}/*"] if DataClass.MODEL in reader.accepts else []
    found = _reading(name, who, store, open_to)
    for until, tables in sorted(_agreed(region, reader).items()):
        below = [f"{DataClass.SEQUENCE}/*/{table}/*" for table in tables]
        found += _reading(f"{name}Until{until:%Y%m%d}", who, store, below, until=until)
    return found


def _reading(
    name: str, who: Mapping[str, Any], store: Root, below: Sequence[str], *, until: date | None = None
) -> list[dict[str, Any]]:
    if not below:
        return []
    end = {} if until is None else {"DateLessThan": {"aws:CurrentTime": f"{until + timedelta(days=1)}T00:00:00Z"}}
    listed = {"StringLike": {"s3:prefix": [_key(store, one) for one in below]}, **end}
    return [
        _statement(f"{name}Reads", who, (_READ,), [_arn(store, one) for one in below], condition=end),
        _statement(f"{name}Lists", who, (_LIST,), [_arn(store)], condition=listed),
    ]


def _agreed(region: Region, reader: Region) -> dict[date, list[str]]:
    """Tables of sequences that may move to a region, by the last day of the latest agreement on each."""
    last: dict[str, date] = {}
    for one in region.agreements if DataClass.SEQUENCE in reader.accepts else ():
        if one.to == reader.name:
            last[one.table] = max(one.until, last.get(one.table, one.until))
    return {until: sorted(table for table, day in last.items() if day == until) for until in sorted(set(last.values()))}


def _refusal(region: Region, store: Root) -> dict[str, Any]:
    """Denies raw and personal rows to all identities except the region, also if another policy allows access."""
    account = f"arn:aws:iam::{store.account}:root"  # without it, its users are denied, too
    return {
        "Sid": "RawRowsNeverLeave",
        "Effect": "Deny",
        "NotPrincipal": {"AWS": [_user(region, store), account]},
        "Action": "s3:*",
        "Resource": [_arn(store, f"{one}/*") for one in (*_OWN_ALONE, LANDING)],
    }


def _statement(
    name: str,
    who: Mapping[str, Any],
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    condition: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    found = {"Sid": name, "Effect": "Allow", "Principal": who, "Action": list(actions), "Resource": list(resources)}
    return {**found, "Condition": condition} if condition else found


def _principal(region: Region, store: Root) -> dict[str, Any]:
    return {"AWS": [_user(region, store)]}


def _user(region: Region, store: Root) -> str:
    return f"arn:aws:iam::{store.account}:user/{identity(region)}"


def _arn(store: Root, below: str = "") -> str:
    return f"arn:aws:s3:::{store.bucket}/{_key(store, below)}" if below else f"arn:aws:s3:::{store.bucket}"


def _key(store: Root, below: str) -> str:
    return f"{store.prefix}/{below}" if store.prefix else below


def _sid(region: Region) -> str:
    """The region's name in the letters that are allowed in a statement's name."""
    return "".join(word.capitalize() for word in region.name.split("_"))
