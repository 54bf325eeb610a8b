#!/usr/bin/env python3
"""The SPDX document of the programs is complete, and what nobody has reviewed is an error.

usage: sbom_test.py BUILD_FOLDER
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import unittest
from importlib.machinery import SourceFileLoader

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMAND = os.path.join(ROOT, "tools", "sbom")
BUILD = ""

sys.dont_write_bytecode = True
loader = SourceFileLoader("sbom", COMMAND)
sbom = importlib.util.module_from_spec(importlib.util.spec_from_loader("sbom", loader))
loader.exec_module(sbom)

# An expression of ids, references, exceptions and operators (SPDX 2.3, annex D).
ID = r"(?:LicenseRef-)?[A-Za-z0-9.+-]+(?: WITH [A-Za-z0-9.-]+)?"
TERM = rf"(?:{ID}|\({ID}(?: OR {ID})+\))"
EXPRESSION = re.compile(rf"NOASSERTION|{TERM}(?: (?:AND|OR) {TERM})*")


class Document(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        cls.text = subprocess.run([COMMAND, BUILD], check=True, capture_output=True, text=True,
                                  env=environment).stdout
        cls.document = json.loads(cls.text)
        cls.packages = {package["SPDXID"]: package for package in cls.document["packages"]}

    def test_head(self):
        document = self.document
        self.assertEqual(document["spdxVersion"], "SPDX-2.3")
        self.assertEqual(document["dataLicense"], "CC0-1.0")
        self.assertEqual(document["SPDXID"], "SPDXRef-DOCUMENT")
        self.assertRegex(document["name"], r"^earshot-\d+\.\d+\.\d+$")
        self.assertRegex(document["documentNamespace"], r"^urn:earshot:sbom:[0-9.]+:[0-9a-f]{32}$")
        self.assertEqual(document["creationInfo"]["created"], "1970-01-01T00:00:00Z")
        self.assertRegex(document["creationInfo"]["creators"][0], r"^(Tool|Person|Organization): \S")

    def test_packages(self):
        self.assertEqual(len(self.packages), len(self.document["packages"]))
        for key, package in self.packages.items():
            with self.subTest(package["name"]):
                self.assertRegex(key, r"^SPDXRef-[A-Za-z0-9.-]+$")
                for field in ("name", "versionInfo", "downloadLocation", "supplier", "copyrightText"):
                    self.assertTrue(package[field])
                self.assertIs(package["filesAnalyzed"], False)
                self.assertNotEqual(package["licenseConcluded"], "NOASSERTION")
                for field in ("licenseConcluded", "licenseDeclared"):
                    self.assertRegex(package[field], rf"^(?:{EXPRESSION.pattern})$")

    def test_what_is_linked_and_what_is_included(self):
        kinds = {"earshot-relay": {}, "earshot": {}}
        for relation in self.document["relationships"]:
            target = self.packages[relation["relatedSpdxElement"]]["name"]
            if relation["relationshipType"] == "DESCRIBES":
                self.assertEqual(relation["spdxElementId"], "SPDXRef-DOCUMENT")
                self.assertIn(target, kinds)
            else:
                program = self.packages[relation["spdxElementId"]]["name"]
                kinds[program][target] = relation["relationshipType"]
        for name in ("libsodium23", "libssl3", "libuv1", "libwslay1", "libhttp-parser2.9"):
            self.assertEqual(kinds["earshot-relay"].get(name), "DYNAMIC_LINK", name)
        for name in ("nlohmann-json3-dev", "libtomlplusplus-dev", "libconcurrentqueue-dev", "libcli11-dev"):
            self.assertEqual(kinds["earshot-relay"].get(name), "STATIC_LINK", name)
        self.assertEqual(kinds["earshot"].get("libopus0"), "DYNAMIC_LINK")
        # The relay decodes nothing.
        self.assertNotIn("libopus0", kinds["earshot-relay"])

    def test_references_are_explained(self):
        explained = {entry["licenseId"] for entry in self.document["hasExtractedLicensingInfos"]}
        self.assertEqual(set(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", json.dumps(
            [[p["licenseConcluded"], p["licenseDeclared"]] for p in self.packages.values()]))), explained)

    def test_two_runs_agree(self):
        again = subprocess.run([COMMAND, BUILD], check=True, capture_output=True, text=True,
                               env={**os.environ, "SOURCE_DATE_EPOCH": "0"}).stdout
        self.assertEqual(again, self.text)


class Unknown(unittest.TestCase):
    def test_a_package_that_nobody_has_reviewed(self):
        with self.assertRaisesRegex(sbom.Unknown, "newcomer: nobody has reviewed"):
            sbom.concluded("newcomer")

    def test_a_licence_that_nobody_has_reviewed(self):
        with self.assertRaisesRegex(sbom.Unknown, 'names the licence "AGPL-3"'):
            sbom.declared("libuv1", "License: Expat\nLicense: AGPL-3\n")
        with self.assertRaisesRegex(sbom.Unknown, "names no licence"):
            sbom.declared("libuv1", "some prose\n")

    def test_what_is_known(self):
        self.assertEqual(sbom.declared("x", "License:   Expat\n"), "MIT")
        self.assertEqual(sbom.declared("x", "License: Expat\nLicense: BSD-2-clause or Boost\n"),
                         "(BSD-2-Clause OR BSL-1.0) AND MIT")


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main()
