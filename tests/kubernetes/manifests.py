"""What runs the ledger on Kubernetes: a Deployment for each program of the registry, with a login,
a key and a network of its own, and a Job that migrates.

PostgreSQL and NATS are not in it: they are what the cluster's operators have for that. What is
secret comes from Secrets that are named here and made elsewhere: `ledger-<program>` has the
program's `database-url`, its `nats-user` and its `nats.nk`.

A key must be readable by its owner alone, and a mounted Secret is root's: so a container that ends
at once copies it to memory first, as the account that the program runs as.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from ledger.programs.registry import Program, find, names

Document = dict[str, Any]

IMAGE = "trading-ledger"
ACCOUNT = 10001
"""Of the image's Dockerfile."""
PORT = 9464
"""Of /metrics, /health and /ready, in each container."""
DATABASE_PORT, BUS_PORT = 5432, 4222
PART_OF = {"app.kubernetes.io/part-of": "trading-ledger"}
STOP_SECONDS = 30
"""A command service finishes its batch first."""


class Special(NamedTuple):
    """What one program has that others have not."""

    keys: tuple[str, ...] = ()
    """Files of its Secret beside `nats.nk`."""
    settings: Mapping[str, str] = {}
    port: int | None = None
    """That others connect to."""
    directory: str | None = None
    """That it keeps: then there is one of it."""
    outside: bool = False
    """Whether it speaks with the world, by HTTPS."""
    cpu: str = "100m"
    memory: str = "256Mi"


SPECIAL = {
    "commands": Special(cpu="500m", memory="512Mi"),
    "projections": Special(cpu="500m", memory="768Mi"),
    "seals": Special(keys=("seal.key",), settings={"LEDGER_SEAL_KEY_FILE": "/keys/seal.key"}),
    "prices": Special(outside=True),
    "alerts": Special(
        keys=("channels.toml",),
        settings={"LEDGER_ALERT_CHANNELS_FILE": "/keys/channels.toml"},
        outside=True,
    ),
    "web": Special(
        settings={
            "LEDGER_WEB_HOST": "0.0.0.0",
            "LEDGER_WEB_PORT": "8787",
            "LEDGER_WEB_DIR": "/web",
            "LEDGER_WEB_URL": "https://ledger.example.org",
        },
        port=8787,
        directory="/web",
    ),
}
USUAL = Special()


def files() -> dict[str, str]:
    """Each file with its text."""
    made = {
        "namespace.yaml": [_namespace()],
        "settings.yaml": [_settings(), _account()],
        "migrate.yaml": [_migrate()],
        "network.yaml": _network(),
        **{f"{name}.yaml": _of_program(find(name)) for name in names()},
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "ledger",
        "resources": sorted(made),
        "images": [{"name": IMAGE, "newTag": "unreleased"}],
    }
    return {name: _text(one) for name, one in made.items()} | {
        "kustomization.yaml": _text([kustomization])
    }


class _Plain(yaml.SafeDumper):
    """Writes the same value twice where it is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(documents: list[Document]) -> str:
    head = "# Made by `python -m tests.kubernetes`: change it in tests/kubernetes/manifests.py.\n"
    dumped = (yaml.dump(one, Dumper=_Plain, sort_keys=False, width=100) for one in documents)
    return head + "---\n".join(dumped)


# --- what all share -------------------------------------------------------------------------


def _namespace() -> Document:
    strict = {
        f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "ledger", "labels": PART_OF | strict},
    }


def _settings() -> Document:
    """What an overlay changes: where the bus is; and what is so in a container."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ledger-settings", "labels": PART_OF},
        "data": {
            "LEDGER_NATS_URL": "tls://nats.nats.svc:4222",
            "LEDGER_NATS_NKEY_SEED_FILE": "/keys/nats.nk",
            "LEDGER_NATS_TLS_CA_FILE": "/authorities/nats.pem",
            "LEDGER_DATABASE_TLS_CA_FILE": "/authorities/postgresql.pem",
            "LEDGER_DATA_DIR": "/tmp/ledger",
            "LEDGER_METRICS_HOST": "0.0.0.0",
            "LEDGER_METRICS_PORT": str(PORT),
        },
    }


def _account() -> Document:
    """Nothing here speaks with Kubernetes."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "ledger", "labels": PART_OF},
        "automountServiceAccountToken": False,
    }


def _migrate() -> Document:
    """As the owner of the database, whose URL no program knows. Jobs do not change: it is deleted
    an hour after it is done, or by hand before the next release."""
    database = _from_secret("LEDGER_DATABASE_URL", "ledger-migrate", "database-url")
    pod = {
        **_pod(),
        "restartPolicy": "OnFailure",
        "containers": [
            {
                **_container("migrate", ["migrate"], "100m", "256Mi"),
                "env": [database],
                "volumeMounts": [_mount("authorities"), _mount("tmp")],
            }
        ],
        "volumes": [_authorities(), _memory("tmp")],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "labels": _labels("migrate")},
        "spec": {
            "backoffLimit": 6,
            "ttlSecondsAfterFinished": 3600,
            "template": {"metadata": {"labels": _labels("migrate")}, "spec": pod},
        },
    }


# --- a program ------------------------------------------------------------------------------


def _of_program(program: Program) -> list[Document]:
    special = SPECIAL.get(program.name, USUAL)
    made = [_deployment(program, special), _disruption(program)]
    if special.port is not None:
        made.append(_service(program, special.port))
    if special.directory is not None:
        made.append(_claim(program))
    return made


def _deployment(program: Program, special: Special) -> Document:
    """Two of each share the work, or stand by; one where it keeps a directory."""
    alone = special.directory is not None
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(program.name)},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": program.name, "labels": _labels(program.name)},
        "spec": {
            "replicas": 1 if alone else 2,
            "strategy": {"type": "Recreate" if alone else "RollingUpdate"},
            "selector": {"matchLabels": _selector(program.name)},
            "template": {
                "metadata": {"labels": _labels(program.name), "annotations": annotations},
                "spec": {
                    **_pod(),
                    "topologySpreadConstraints": [spread],
                    "initContainers": [_keys(special)],
                    "containers": [_running(program, special)],
                    "volumes": _volumes(program, special),
                },
            },
        },
    }


def _running(program: Program, special: Special) -> Document:
    secret = f"ledger-{program.name}"
    told = [{"name": name, "value": value} for name, value in special.settings.items()]
    ports = [{"name": "metrics", "containerPort": PORT}]
    mounts = [_mount("authorities"), _mount("keys"), _mount("tmp")]
    if special.port is not None:
        ports.append({"name": "http", "containerPort": special.port})
    if special.directory is not None:
        mounts.append({"name": "kept", "mountPath": special.directory})
    return {
        **_container(program.name, ["serve", program.name], special.cpu, special.memory),
        "envFrom": [{"configMapRef": {"name": "ledger-settings"}}],
        "env": [
            _from_secret("LEDGER_DATABASE_URL", secret, "database-url"),
            _from_secret("LEDGER_NATS_USER", secret, "nats-user"),
            *told,
        ],
        "ports": ports,
        # It starts when its servers are there, however long that takes; then it must answer.
        "startupProbe": _probe("/health", seconds=5, failures=60),
        "livenessProbe": _probe("/health", seconds=10, failures=6),
        "readinessProbe": _probe("/ready", seconds=10, failures=2),
        "volumeMounts": mounts,
    }


def _keys(special: Special) -> Document:
    files = [f"/secret/{name}" for name in ("nats.nk", *special.keys)]
    return {
        **_container("keys", [], "10m", "32Mi"),
        "command": ["install", "--mode=0400", "--target-directory=/keys", *files],
        "volumeMounts": [
            {"name": "secret", "mountPath": "/secret", "readOnly": True},
            _mount("keys"),
        ],
    }


def _volumes(program: Program, special: Special) -> list[Document]:
    items = [{"key": name, "path": name} for name in ("nats.nk", *special.keys)]
    secret = {"secretName": f"ledger-{program.name}", "items": items, "defaultMode": 0o440}
    volumes = [
        _authorities(),
        _memory("keys"),
        _memory("tmp"),
        {"name": "secret", "secret": secret},
    ]
    if special.directory is not None:
        claim = {"claimName": f"{program.name}-kept"}
        volumes.append({"name": "kept", "persistentVolumeClaim": claim})
    return volumes


def _disruption(program: Program) -> Document:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": program.name, "labels": _labels(program.name)},
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": _selector(program.name)},
        },
    }


def _service(program: Program, port: int) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": program.name, "labels": _labels(program.name)},
        "spec": {
            "selector": _selector(program.name),
            "ports": [{"name": "http", "port": port, "targetPort": "http"}],
        },
    }


def _claim(program: Program) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{program.name}-kept", "labels": _labels(program.name)},
        "spec": {
            "accessModes": ["ReadWriteOncePod"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


# --- the network ----------------------------------------------------------------------------


def _network() -> list[Document]:
    """Nobody speaks with anybody, but for what is named: DNS, PostgreSQL and NATS, whoever
    watches, the console's callers, and venues and channels by HTTPS."""
    everything: Document = {"matchLabels": PART_OF}
    watching = {"namespaceSelector": {"matchLabels": {"ledger.watches": "true"}}}
    calling = {"namespaceSelector": {"matchLabels": {"ledger.calls": "true"}}}
    servers = [
        {"ports": [_port("UDP", 53), _port("TCP", 53)]},
        {"ports": [_port("TCP", DATABASE_PORT), _port("TCP", BUS_PORT)]},
    ]
    made = [
        _policy("nothing", {}, ["Ingress", "Egress"], {}),
        _policy("servers", everything, ["Egress"], {"egress": servers}),
        _policy(
            "watched", everything, ["Ingress"],
            {"ingress": [{"from": [watching], "ports": [_port("TCP", PORT)]}]},
        ),
    ]  # fmt: skip
    for name in names():
        special = SPECIAL.get(name, USUAL)
        of_it = {"matchLabels": _selector(name)}
        if special.outside:
            https = {"egress": [{"ports": [_port("TCP", 443)]}]}
            made.append(_policy(f"{name}-outside", of_it, ["Egress"], https))
        if special.port is not None:
            called = {"ingress": [{"from": [calling], "ports": [_port("TCP", special.port)]}]}
            made.append(_policy(f"{name}-called", of_it, ["Ingress"], called))
    return made


def _policy(name: str, of: Document, types: list[str], rules: Document) -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": PART_OF},
        "spec": {"podSelector": of, "policyTypes": types, **rules},
    }


def _port(protocol: str, port: int) -> Document:
    return {"protocol": protocol, "port": port}


# --- parts ----------------------------------------------------------------------------------


def _pod() -> Document:
    return {
        "serviceAccountName": "ledger",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": ACCOUNT,
            "runAsGroup": ACCOUNT,
            "fsGroup": ACCOUNT,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _container(name: str, arguments: list[str], cpu: str, memory: str) -> Document:
    """What it asks for of the processor is no limit: a program that catches up may take what nobody
    else needs. Memory is one."""
    return {
        "name": name,
        "image": IMAGE,
        **({"args": arguments} if arguments else {}),
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _probe(path: str, *, seconds: int, failures: int) -> Document:
    return {
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": seconds,
        "timeoutSeconds": 8,
        "failureThreshold": failures,
    }


def _selector(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "trading-ledger", "app.kubernetes.io/component": name}


def _labels(name: str) -> dict[str, str]:
    return PART_OF | _selector(name)


def _from_secret(variable: str, secret: str, key: str) -> Document:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _mount(name: str) -> Document:
    mount: Document = {"name": name, "mountPath": f"/{name}"}
    return mount | {"readOnly": True} if name == "authorities" else mount


def _authorities() -> Document:
    return {"name": "authorities", "configMap": {"name": "ledger-authorities"}}


def _memory(name: str) -> Document:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
