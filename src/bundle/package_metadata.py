"""Metadata of an installed package: its distribution, licence, and versions of Python."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

_CLASSIFIER = "License :: "
_LONGEST_LICENCE = 80  # of a name; some packages have the whole text in this field


def distribution(name: str, site: Path | None) -> metadata.Distribution | None:
    """Return the installed package of that name, or another one here that brings the same modules.

    onnxruntime-gpu does so for onnxruntime: the versions are the same.
    """
    if site is not None:
        return next(iter(metadata.distributions(name=name, path=[str(site)])), None)
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        others = metadata.packages_distributions().get(name.replace("-", "_"), [])
        return metadata.distribution(others[0]) if others else None


def licence(facts: metadata.PackageMetadata) -> str | None:
    """Return a licence as the metadata of a package name it."""
    expression = _first(facts.get_all("License-Expression"))
    if expression:
        return expression
    classified = [
        line.rpartition(" :: ")[2]
        for line in facts.get_all("Classifier") or ()
        if line.startswith(_CLASSIFIER) and line.count(" :: ") > 1
    ]
    named = _first(facts.get_all("License"))
    if named and len(named) <= _LONGEST_LICENCE and "\n" not in named:
        return named
    return " AND ".join(sorted(set(classified))) or None


def pythons(facts: metadata.PackageMetadata) -> SpecifierSet | None:
    """Return the versions of Python that a package takes; None if its metadata do not tell."""
    try:
        return SpecifierSet(_first(facts.get_all("Requires-Python")) or "")
    except InvalidSpecifier:  # such as >=3.6.* of an old package
        return None


def _first(values: Iterable[str] | None) -> str | None:
    return next((value.strip() for value in values or () if value.strip()), None)
