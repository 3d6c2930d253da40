"""The kubeconfigs of real users: proxies, files beside each other, certificates and plugins named from their folder."""

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from kubernetes.client import ApiClient, CoreV1Api

from resources.router.connections import client_configuration
from sinet_pipelines.deployment.cluster.api import connect
from sinet_pipelines.errors import ClusterError
from tests.inventory import WEST


@pytest.fixture
def proxy():
    """A proxy that answers for the API behind it; returns its address and what it was asked."""
    requested = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 - the server's name for it
            requested.append(self.path)
            answer = b'{"items": []}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", requested
    server.shutdown()
    server.server_close()
    thread.join()


def written(path, *, cluster, user=None):
    values = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "west", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(values))
    return str(path)


BEHIND = "http://api.behind.example:6443"


def test_a_step_and_an_endpoint_go_by_the_proxy_of_the_kubeconfig(proxy, tmp_path, monkeypatch):
    at, requested = proxy
    monkeypatch.setenv("NO_PROXY", "*")
    file = written(tmp_path / "kube config", cluster={"server": BEHIND, "proxy-url": at})
    with ApiClient(client_configuration(WEST, kubeconfig=file)) as client:
        assert CoreV1Api(client).list_namespaced_pod("sinet", _request_timeout=5).items == []
    row = replace(WEST, cluster=replace(WEST.cluster, kubeconfig_file=file))
    assert connect(row, own_region=None).pods({}) == []
    assert [one.startswith(f"{BEHIND}/") for one in requested] == [True, True]


def test_a_proxy_that_the_client_cannot_use_is_named_without_its_password(tmp_path):
    file = written(tmp_path / "config", cluster={"server": BEHIND, "proxy-url": "socks5://me:s3cret@hop:1080"})
    with pytest.raises(ClusterError, match="is a socks5 proxy; steps and endpoints use http:// and") as refused:
        client_configuration(WEST, kubeconfig=file)
    assert "s3cret" not in str(refused.value)


def test_a_cluster_and_its_context_may_stand_in_files_of_their_own(proxy, tmp_path):
    at, _ = proxy
    whole = yaml.safe_load(Path(written(tmp_path / "whole", cluster={"server": BEHIND, "proxy-url": at})).read_text())
    for part in ("clusters", "users", "contexts"):
        values = {"apiVersion": "v1", "kind": "Config", part: whole[part]}
        (tmp_path / part).write_text(yaml.safe_dump(values))
    files = ":".join(str(tmp_path / part) for part in ("contexts", "clusters", "missing", "users"))
    assert client_configuration(WEST, kubeconfig=files).proxy == at


def test_a_plugin_and_a_certificate_are_found_from_the_folder_of_the_kubeconfig(tmp_path, monkeypatch):
    folder = tmp_path / "of the kubeconfig"
    folder.mkdir()
    (folder / "ca.crt").write_text("authority")
    status = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "fresh"}}'
    (folder / "login").write_text(f"#!/bin/sh\necho '{status}'\n")
    (folder / "login").chmod(0o755)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "interactiveMode": "Never"}
    cluster = {"server": "https://api.example:6443", "certificate-authority": "ca.crt", "tls-server-name": "other"}
    file = written(folder / "config", cluster=cluster, user={"exec": plugin})
    monkeypatch.chdir(tmp_path)
    configuration = client_configuration(WEST, kubeconfig=file)
    assert set(configuration.api_key.values()) == {"Bearer fresh"}
    assert Path(configuration.ssl_ca_cert).read_text() == "authority"
    assert configuration.tls_server_name == "other"


def test_a_kubeconfig_may_stand_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path / "config", cluster={"server": BEHIND})
    assert client_configuration(WEST, kubeconfig="~/config").host == BEHIND
