"""JUnit's XML, which continuous integration shows: suites of test cases that passed or failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree


@dataclass(frozen=True)
class Case:
    """One thing that was tested.

    Attributes:
        name: Of the case.
        failure: What failed, in a sentence, or None if it passed.
        kind: What kind of failure.
        text: More about it.
        seconds: How long it took, or None.
    """

    name: str
    failure: str | None = None
    kind: str | None = None
    text: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Suite:
    """Cases under one name, which is also their class.

    Attributes:
        name: Of the suite.
        cases: In order.
        properties: Figures by name.
        timestamp: When it ran, ISO 8601, or None.
        hostname: Where, or None.
    """

    name: str
    cases: Sequence[Case]
    properties: Mapping[str, float | int | str] | None = None
    timestamp: str | None = None
    hostname: str | None = None


def document(suites: Suite | Sequence[Suite], name: str | None = None) -> str:
    """An XML document of one suite, or of several under `name`."""
    if isinstance(suites, Suite):
        root = _suite(suites)
    else:
        root = _element("testsuites", name=name)
        root.extend(_suite(suite) for suite in suites)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written.decode() + "\n"


def _suite(suite: Suite) -> ElementTree.Element:
    failures = sum(case.failure is not None for case in suite.cases)
    element = _element(
        "testsuite", name=suite.name, tests=len(suite.cases), failures=failures, timestamp=suite.timestamp, hostname=suite.hostname
    )
    if suite.properties:
        properties = ElementTree.SubElement(element, "properties")
        for key, value in suite.properties.items():
            properties.append(_element("property", name=key, value=f"{value:.6g}" if isinstance(value, float) else value))
    element.extend(_case(case, suite.name) for case in suite.cases)
    return element


def _case(case: Case, of: str) -> ElementTree.Element:
    element = _element("testcase", classname=of, name=case.name, time=None if case.seconds is None else f"{case.seconds:.9f}")
    if case.failure is not None:
        failure = _element("failure", message=case.failure, type=case.kind)
        failure.text = case.text
        element.append(failure)
    return element


def _element(tag: str, **attributes: object) -> ElementTree.Element:
    return ElementTree.Element(tag, {key: str(value) for key, value in attributes.items() if value is not None})
