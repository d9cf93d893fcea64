"""Suites are XML that says what ran, what failed and why."""

from xml.etree import ElementTree

from edgekit.junit import Case, Suite, document


def test_a_suite_counts_its_cases_and_names_failures():
    cases = [Case("latency", seconds=0.25), Case("size", "3 µB > 2", "GateFailed", "more\nthan wanted")]
    suite = ElementTree.fromstring(document(Suite("edgekit", cases, {"ms": 1.23456789, "n": 3}, "2024-01-02T03:04:05", "host")).encode())
    assert suite.attrib == {"name": "edgekit", "tests": "2", "failures": "1", "timestamp": "2024-01-02T03:04:05", "hostname": "host"}
    assert [p.get("value") for p in suite.find("properties")] == ["1.23457", "3"]
    passed, failed = suite.findall("testcase")
    assert passed.attrib == {"classname": "edgekit", "name": "latency", "time": "0.250000000"} and not len(passed)
    assert failed.find("failure").attrib == {"message": "3 µB > 2", "type": "GateFailed"}
    assert failed.find("failure").text == "more\nthan wanted"


def test_several_suites_are_under_one_name():
    root = ElementTree.fromstring(document([Suite("a", []), Suite("b", [Case("c", "no")])], "all").encode())
    assert (root.tag, root.get("name")) == ("testsuites", "all")
    assert [(s.get("name"), s.get("failures")) for s in root] == [("a", "0"), ("b", "1")]


def test_the_document_is_utf_8_wherever_it_is_written():
    assert document(Suite("ä", [])).startswith("<?xml version='1.0' encoding='utf-8'?>")
