"""The manifests for Kubernetes: every program, none with more than it needs, all as its API takes
them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from ledger.programs.registry import find, names
from tests.kubernetes.__main__ import DIRECTORY
from tests.kubernetes.manifests import SPECIAL, files

SCHEMA = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
DOCUMENTS: list[dict[str, Any]] = [
    one
    for name, text in sorted(files().items())
    if name != "kustomization.yaml"
    for one in yaml.safe_load_all(text)
]


def named(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in DOCUMENTS if one["kind"] == kind}


def test_the_files_are_made_from_the_registry() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.glob("*.yaml")}
    assert found == files(), "make them again: python -m tests.kubernetes"


def test_every_program_is_deployed_and_no_other() -> None:
    assert sorted(of_kind("Deployment")) == sorted(names())
    assert sorted(of_kind("PodDisruptionBudget")) == sorted(names())
    for name, deployment in of_kind("Deployment").items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["serve", name]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_it_is_as_the_api_takes_it(document: dict[str, Any]) -> None:
    definition = SCHEMA["kinds"][document["kind"]]
    schema = {"$ref": f"#/definitions/{definition}", "definitions": SCHEMA["definitions"]}
    found = [f"{error.json_path}: {error.message}" for error in _errors(schema, document)]
    assert found == []


def _errors(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    return Draft202012Validator(schema).iter_errors(document)


def test_what_the_api_does_not_take_is_found() -> None:
    broken = json.loads(json.dumps(of_kind("Deployment")["commands"]))
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    schema = {
        "$ref": f"#/definitions/{SCHEMA['kinds']['Deployment']}",
        "definitions": SCHEMA["definitions"],
    }
    assert list(_errors(schema, broken))


def pods() -> list[tuple[str, dict[str, Any]]]:
    workloads = of_kind("Deployment") | of_kind("Job")
    return [(name, one["spec"]["template"]["spec"]) for name, one in workloads.items()]


@pytest.mark.parametrize(
    ("name", "pod"), pods(), ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_pod_may_do_no_more_than_it_must(name: str, pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        secure = container["securityContext"]
        assert secure["readOnlyRootFilesystem"] is True
        assert secure["allowPrivilegeEscalation"] is False
        assert secure["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        for variable in container.get("env", ()):
            secret = "PASSWORD" in variable["name"] or variable["name"].endswith("DATABASE_URL")
            assert not secret or "secretKeyRef" in variable["valueFrom"]


@pytest.mark.parametrize("name", names())
def test_a_program_has_a_login_and_keys_of_its_own_and_is_asked_whether_it_is_ready(
    name: str,
) -> None:
    pod = of_kind("Deployment")[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    secrets = {
        one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one
    }
    mounted = {one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one}
    assert secrets == mounted == {f"ledger-{name}"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    (keys,) = pod["initContainers"]
    assert ("/secret/seal.key" in keys["command"]) == (name == "seals")


def test_settings_are_settings() -> None:
    page = (DIRECTORY.parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(LEDGER_\w+)`", page, re.MULTILINE))
    given = set(of_kind("ConfigMap")["ledger-settings"]["data"])
    for deployment in of_kind("Deployment").values():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        given |= {one["name"] for one in container["env"]}
    assert given <= known


def test_nobody_speaks_with_anybody_but_for_what_is_named() -> None:
    policies = of_kind("NetworkPolicy")
    assert policies["nothing"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    outside = {name.removesuffix("-outside") for name in policies if name.endswith("-outside")}
    called = {name.removesuffix("-called") for name in policies if name.endswith("-called")}
    assert outside == {name for name in names() if find(name).outside} | (
        {"alerts"} & set(names())
    ), "tests/kubernetes/manifests.py: SPECIAL"
    assert called == {"web"}
    assert set(SPECIAL) - {"alerts"} <= set(names())


def test_kustomize_builds_it() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here")
    done = subprocess.run(
        [kubectl, "kustomize", DIRECTORY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    built = {named(one) for one in yaml.safe_load_all(done.stdout)}
    assert built == {named(one) for one in DOCUMENTS}
