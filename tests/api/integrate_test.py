"""docs/integrate.md works as written."""

import os
import re
import shutil
import tempfile
import unittest

from lib.node import EARSHOT, STATE, Node, Process

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "integrate.md")


class IntegrateTest(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.stop)
        self.folder = tempfile.mkdtemp(prefix="earshot-integrate-")
        self.addCleanup(shutil.rmtree, self.folder)
        # What the page takes for the root of the repository.
        for name in (".state", ".build/release"):
            os.makedirs(os.path.join(self.folder, name))
        os.symlink(EARSHOT, os.path.join(self.folder, ".build/release/earshot"))
        shutil.copy(f"{STATE}/ca.pem", os.path.join(self.folder, ".state"))
        with open(os.path.join(self.folder, ".state/api-key"), "w", encoding="ascii") as file:
            file.write(self.node.keys["all"] + "\n")

    def test_commands(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.S | re.M)
        self.assertGreater(len(blocks), 5)
        script = "\n".join(blocks).replace("https://127.0.0.1:8445", self.node.url)
        end = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n"
        bash = Process("bash", "-euo", "pipefail", "-c", f'cd "{self.folder}"\n{end}{script}')
        code = bash.end(seconds=110)
        output, errors = "".join(bash.output), "".join(bash.errors)
        self.assertEqual(code, 0, output + errors)
        # In this order: what each of them is there to show.
        expected = (r'"state":"ready"', r'"token":"', r'"participants_count":1', r'"channel_id":"8"',
                    r'"mute":true', r'"mute":false', r'"statistics":', r'"participants_max":20',
                    r'^event: voice_server_update\n', r'"reason":"moved"', r'"reason":"kicked"',
                    r'urn:earshot:problem:unauthorized', r'urn:earshot:problem:bad-request')
        at = 0
        for pattern in expected:
            found = re.compile(pattern, re.M).search(output, at)
            self.assertIsNotNone(found, f"no {pattern} behind {at} in:\n{output}\n{errors}")
            at = found.end()


if __name__ == "__main__":
    unittest.main()
