"""Keys come and go while a node runs: `earshot key`, SIGHUP, and what becomes of open streams."""

import os
import re
import stat
import tomllib
import unittest

from lib.client import Client
from lib.events import Stream
from lib.node import EARSHOT, Node, run


class KeysTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.client = Client(cls.node.admin)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.node.stop()

    def key(self, *arguments, code=0):
        result = run(EARSHOT, "key", *arguments, "--file", self.node.keys_file)
        self.assertEqual(result[0], code, result)
        return result[1].strip(), result[2]

    def status(self, key, path="/v1/node"):
        return self.client.get(path, key=key).status

    def test_keys_rotate(self):
        old = self.node.keys["look"]
        self.assertEqual(self.status(old), 200)
        stream, other = Stream(self.node, "look"), Stream(self.node, "all")

        key, errors = self.key("fresh", "--scope", "admin")
        self.assertRegex(key, r"^[A-Za-z0-9_-]{43}$")
        self.assertIn("SIGHUP", errors)
        self.assertNotIn(key, errors)
        with open(self.node.keys_file, encoding="ascii") as file:
            self.assertNotIn(key, file.read())
        self.assertEqual(self.status(key), 401)
        self.node.reload()
        self.assertEqual(self.status(key), 200)
        self.assertEqual(self.status(old), 200)

        self.key("look", "--remove")
        self.assertEqual(self.status(old), 200)
        self.node.reload()
        self.assertEqual(self.status(old), 401)
        self.assertEqual(self.status(key), 200)
        # The stream of the key that is gone ends, others go on.
        self.assertTrue(stream.ends())
        self.client.send("PATCH", "/v1/servers/1/channels/7", {"speakers_max": 2}, key=key)
        other.expect("channel_updated")
        other.close()
        stream.close()

        replaced, _ = self.key("fresh", "--replace", "--server", "1")
        self.node.reload()
        self.assertEqual(self.status(key), 401)
        self.assertEqual(self.status(replaced, "/v1/servers/1/channels"), 200)
        self.assertEqual(self.status(replaced, "/v1/servers/2/channels"), 403)
        answer = self.client.send("POST", "/v1/joins", {}, key=replaced)
        self.assertEqual(answer.status, 403)

    def test_a_broken_file_changes_nothing(self):
        with open(self.node.keys_file, "a", encoding="ascii") as file:
            size = file.tell()
            file.write("[[keys]\n")
        self.node.reload("reload_failed")
        self.assertEqual(self.status(self.node.keys["all"]), 200)
        self.key("more", code=1)
        os.truncate(self.node.keys_file, size)

    def test_what_the_command_refuses(self):
        _, errors = self.key("all", code=1)
        self.assertIn("--replace", errors)
        _, errors = self.key("nobody", "--remove", code=1)
        self.assertIn("nobody", errors)
        for arguments in (("",), ("a b",), ("x" * 65,), ("a", "--scope", "write"),
                          ("a", "--server", ""), ("a", "--remove", "--scope", "read"),
                          ("a", "--remove", "--replace"), ("a", "--remove", "--server", "1"), ()):
            with self.subTest(str(arguments)):
                output, errors = self.key(*arguments, code=2)
                self.assertEqual(output, "")
                self.assertTrue(errors)
        code, output, errors = run(EARSHOT, "key", "a", "--file", "/nowhere/keys.toml")
        self.assertEqual((code, output), (1, ""))
        self.assertIn("/nowhere/keys.toml", errors)

    def test_the_file_is_private_and_whole(self):
        path = os.path.join(self.node.folder, "new.toml")
        for number in range(3):
            code, output, _ = run(EARSHOT, "key", f"k{number}", "--scope", "read", "--scope",
                                  "admin", "--file", path)
            self.assertEqual(code, 0)
            self.assertTrue(re.fullmatch(r"[A-Za-z0-9_-]{43}\n", output))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, "rb") as file:
            entries = tomllib.load(file)["keys"]
        self.assertEqual([entry["name"] for entry in entries], ["k0", "k1", "k2"])
        self.assertEqual(entries[0]["scopes"], ["read", "admin"])
        self.assertFalse([name for name in os.listdir(self.node.folder) if name.endswith(".new")])


if __name__ == "__main__":
    unittest.main(verbosity=1)
