"""Writes deploy/kubernetes/base."""

from pathlib import Path

from tests.kubernetes.manifests import files

DIRECTORY = Path(__file__).parent.parent.parent / "deploy" / "kubernetes" / "base"

if __name__ == "__main__":
    for path in DIRECTORY.glob("*.yaml"):
        path.unlink()
    for name, text in files().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")
