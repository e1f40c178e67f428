"""The manifests for Kubernetes as code: deploy/kubernetes/base is made from the registry of
programs, so that none is missing, and a test compares.

    python -m tests.kubernetes          writes them
"""
