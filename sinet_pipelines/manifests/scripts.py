"""Scripts that write the secrets of the clusters; they contain no secret and pass none on a command line."""

import shlex
from collections.abc import Sequence

from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.manifests.control import CODE, DAEMON, KUBECONFIG_KEY, KUBECONFIG_SECRET, WEB

SCHEME = "postgresql+psycopg2://"
DATABASE_KEY = "SINET_POSTGRES_URL"
SECRETS_OF = "sinet.ai/secrets"  # on Dagster's pods: the version of the secret at their start
_HEAD = """\
#!/bin/bash
{what}
# Written by `sinet render --deploy`. It may be run again at any time.
set -euo pipefail
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"""
_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where a pod finds its own, no secret


def secrets(regions: Sequence[Region], hub: Region) -> str:
    """The script that writes the database's URL into every region; a new URL restarts Dagster's pods."""
    lines = [
        _HEAD.format(
            what=f"# secrets.sh FILE: makes {DATABASE_KEY} of each region's secret from the file, which holds\n"
            f"# {SCHEME}USER:PASSWORD@HOST:5432/DATABASE, an address that all regions reach."
        ),
        f"file=${{1:?name a file that holds the URL of the database, {SCHEME}...}}",
        'printf %s "$(<"$file")" | tr -d "\\r" > "$work/url"  # without the end of its line, of Windows as well',
        f'if [ "$(head -c {len(SCHEME)} "$work/url")" != {shlex.quote(SCHEME)} ]; then',
        f'  echo "$file does not begin with {SCHEME}; Dagster takes no other scheme" >&2',
        "  exit 2",
        "fi",
    ]
    for region in regions:
        kubectl = _kubectl(region)
        for name in region.cluster.env_secrets[:1]:
            made = f'{kubectl} create secret generic {name} --from-file={DATABASE_KEY}="$work/url"'
            lines.append(f"{made} --dry-run=client -o yaml \\\n  | {kubectl} apply --server-side -f -")
    for name in hub.cluster.env_secrets[:1]:
        lines += _started_again(_kubectl(hub), name)
    return "\n".join(lines) + "\n"


def _started_again(kubectl: str, name: str) -> list[str]:
    """Lines that restart Dagster's pods for a new version of the secret; writing the same content is not a new one."""
    annotation = f'{{\\"{SECRETS_OF}\\":\\"$version\\"}}'
    patch = f'{{\\"spec\\":{{\\"template\\":{{\\"metadata\\":{{\\"annotations\\":{annotation}}}}}}}}}'
    return [
        f"version=$({kubectl} get secret {name} -o jsonpath='{{.metadata.resourceVersion}}')",
        f"for name in {CODE} {WEB} {DAEMON}; do",
        f'  found=$({kubectl} get deployment "$name" --ignore-not-found -o name)',
        f'  [ -z "$found" ] || {kubectl} patch "$found" -p "{patch}"',
        "done",
    ]


def kubeconfig(regions: Sequence[Region], hub: Region) -> str:
    """The script that makes the kubeconfig with which runs access every region, and writes it into their secret."""
    at, name = _kubectl(hub), KUBECONFIG_SECRET
    lines = [
        _HEAD.format(
            what=f"# kubeconfig.sh: makes secret {name}, key `{KUBECONFIG_KEY}`, of {hub.name}, a context a region.\n"
            "# Where Dagster's cluster reaches another region's API by another address than you do, set it:\n"
            "# " + " ".join(f"{_variable(one)}=https://HOST:6443" for one in regions if one is not hub)
        ),
        'part() { printf \'%s\\n\' "$1" >> "$work/$2"; }',
    ]
    for region in regions:
        lines += _own(region) if region is hub else _other(region)
    lines += [
        f'{{ printf "apiVersion: v1\\nkind: Config\\ncurrent-context: {_quoted(hub)}\\nclusters:\\n"',
        '  cat "$work/clusters"',
        '  printf "users:\\n"; cat "$work/users"; printf "contexts:\\n"; cat "$work/contexts"; } > "$work/config"',
        f'{at} create secret generic {name} --from-file={KUBECONFIG_KEY}="$work/config" --dry-run=client -o yaml \\',
        f"  | {at} apply --server-side -f -",
    ]
    return "\n".join(lines) + "\n"


def _own(region: Region) -> list[str]:
    """The context of Dagster's own cluster: its pods have a token that is renewed."""
    name = _quoted(region)
    cluster = f"server: https://kubernetes.default.svc, certificate-authority: {_TOKEN}/ca.crt"
    return [
        f'part "- {{name: {name}, cluster: {{{cluster}}}}}" clusters',
        f'part "- {{name: {name}, user: {{tokenFile: {_TOKEN}/token}}}}" users',
        _context(region),
    ]


def _other(region: Region) -> list[str]:
    """The context of another region, with the token of its account for runs from a secret in that region."""
    kubectl, context, name = _kubectl(region), region.cluster.kubeconfig_context, _quoted(region)
    secret = f"{kubectl} get secret {region.cluster.run_service_account}-token"
    look = f"kubectl config view --minify --context {shlex.quote(context)}"
    at = "server: '$server', certificate-authority-data: '$authority'"  # an address of IPv6 has brackets
    return [
        f"server=${{{_variable(region)}:-$({look} -o jsonpath='{{.clusters[0].cluster.server}}')}}",
        f"token=$({secret} -o go-template='{{{{.data.token | base64decode}}}}')",
        f"authority=$({secret} -o go-template='{{{{index .data \"ca.crt\"}}}}')",
        f'part "- {{name: {name}, cluster: {{{at}}}}}" clusters',
        f"part \"- {{name: {name}, user: {{token: '$token'}}}}\" users",
        _context(region),
    ]


def _context(region: Region) -> str:
    name, at = _quoted(region), f"'{region.cluster.namespace}'"
    return f'part "- {{name: {name}, context: {{cluster: {name}, user: {name}, namespace: {at}}}}}" contexts'


def _quoted(region: Region) -> str:
    """The context as YAML text, since `007` and `on` are also names. `deployment.files` rejects quotes in it."""
    return f"'{region.cluster.kubeconfig_context}'"


def _variable(region: Region) -> str:
    return f"SERVER_{region.name}"


def _kubectl(region: Region) -> str:
    return region.cluster.kubectl(namespace=region.cluster.namespace)
