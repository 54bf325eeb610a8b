"""Every path, method, status and problem code of docs/openapi.json, against a real node."""

import json
import tempfile
import os
import re
import ssl
import time
import unittest

from lib.client import Client
from lib.document import Document
from lib.events import Stream
from lib.node import Node
from lib.voice import Voice

document = Document()
node = None
IDS = {"server_id": "1", "channel_id": "7", "user_id": "42"}
# An address that is slowed down for its wrong keys stays so for the rest of the test.
STRANGER = "127.0.0.9"


def setUpModule():
    global node
    node = Node()


def tearDownModule():
    node.stop()


def path_of(template, ids=None):
    ids = {**IDS, "recording": "20260101T000000.000Z-none.rec", **(ids or {})}
    return re.sub(r"{(\w+)}", lambda found: ids[found.group(1)], template)


def channel(name, server="1"):
    return f"/v1/servers/{server}/channels/{name}"


class ApiTest(unittest.TestCase):
    def setUp(self):
        self.client = Client(node.admin, node.keys["all"])
        self.addCleanup(self.client.close)

    def call(self, operation, ids=None, body=None, query="", **options):
        """Sends the operation and checks its answer against the document."""
        _, method, path, _, _ = document.operation(operation)
        answer = self.client.send(method, path_of(path, ids) + query, body, **options)
        return document.check(operation, answer)

    def problem(self, code, operation, *arguments, **options):
        answer = self.call(operation, *arguments, **options)
        self.assertEqual(answer.code, code, answer)
        return answer.json["detail"]

    def join(self, **members):
        answer = self.call("createJoin", body={**IDS, **members})
        self.assertEqual(answer.status, 201)
        return answer.json

    def participant(self, **members):
        voice = Voice(self.join(**members))
        self.addCleanup(voice.close)
        self.assertIsNone(voice.code)
        return voice


class RoutesTest(ApiTest):
    def test_a_key_is_needed(self):
        wrong = "A" * 43
        for number, (name, method, path, operation, _) in enumerate(document.operations()):
            if not document.scope(operation):
                continue
            with self.subTest(name):
                for headers in ({}, {"Authorization": f"Bearer {wrong}"},
                                {"Authorization": f"Basic {node.keys['all']}"},
                                {"Authorization": node.keys["all"]},
                                {"Authorization": "Bearer"},
                                {"Authorization": f"Bearer {node.keys['all']}A"}):
                    # A wrong key counts against its address: one address for each route.
                    client = Client(node.admin, source=f"127.0.1.{number + 1}")
                    answer = client.send(method, path_of(path), headers=headers)
                    client.close()
                    document.check(name, answer)
                    self.assertEqual(answer.code, "unauthorized")
                self.assertNotIn(wrong, answer.body.decode())

    def test_the_scheme_has_no_case(self):
        for scheme in ("bearer", "BEARER", "Bearer"):
            answer = self.client.get("/v1/node", key="",
                                     headers={"Authorization": f"{scheme} {node.keys['look']}"})
            self.assertEqual(answer.status, 200)

    def test_a_scope_is_needed(self):
        for name, method, path, operation, _ in document.operations():
            if document.scope(operation) == "admin":
                with self.subTest(name):
                    self.client.key = node.keys["look"]
                    self.problem("forbidden", name)
                    self.assertEqual(self.call(name).status, 403)

    def test_a_key_of_one_server_is_for_that_server(self):
        for name, _, path, operation, _ in document.operations():
            with self.subTest(name):
                self.client.key = node.keys["one"]
                if "{server_id}" in path:
                    self.problem("forbidden", name, {"server_id": "2"})
                if path in ("/v1/node", "/metrics") or path.startswith("/v1/recordings"):
                    self.problem("forbidden", name)
        body = {**IDS, "server_id": "2"}
        self.problem("forbidden", "createJoin", body=body)
        self.problem("forbidden", "followEvents", query="?server_id=2")
        self.assertEqual(self.call("createJoin", body=IDS).status, 201)
        self.client.key = node.keys["look-one"]
        self.problem("forbidden", "createJoin", body=IDS)

    def test_a_bound_key_sees_its_own_channels_only(self):
        for server in ("1", "2"):
            self.call("changeChannel", {"server_id": server, "channel_id": "bound"},
                      body={"speakers_max": 3})
        self.addCleanup(lambda: [self.client.send("DELETE", channel("bound", server),
                                                  key=node.keys["all"]) for server in ("1", "2")])
        servers = {c["server_id"] for c in self.call("listChannels").json["channels"]}
        self.assertLessEqual({"1", "2"}, servers)
        self.client.key = node.keys["look-one"]
        servers = {c["server_id"] for c in self.call("listChannels").json["channels"]}
        self.assertEqual(servers, {"1"})

    def test_other_methods(self):
        paths = {}
        for name, method, path, operation, _ in document.operations():
            paths.setdefault(path, set()).add(method)
        response = document.resolve({"$ref": "#/components/responses/MethodNotAllowed"})
        for path, methods in paths.items():
            known = methods | ({"HEAD"} if "GET" in methods else set())
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - known:
                with self.subTest(f"{method} {path}"):
                    answer = self.client.send(method, path_of(path))
                    self.assertEqual(answer.status, 405)
                    document.check_response(response, answer)
                    self.assertEqual(answer.code, "method-not-allowed")
                    self.assertEqual(set(answer.headers["allow"].split(", ")), known)

    def test_other_paths(self):
        response = document.resolve({"$ref": "#/components/responses/NotFound"})
        for path in ("/", "/v1", "/v1/", "/v1/joins/", "/v1/nodes", "/v2/node", "/V1/node",
                     "//v1/node", "/v1/servers", "/v1/servers/1", channel("7") + "/",
                     channel("7") + "/participants/42/move/", "/metrics/", "/healthz/x"):
            with self.subTest(path):
                answer = self.client.get(path)
                self.assertEqual(answer.status, 404)
                document.check_response(response, answer)

    def test_head_is_get_without_a_body(self):
        for name, method, path, operation, _ in document.operations():
            if method != "GET":
                continue
            with self.subTest(name):
                answer = self.client.send("HEAD", path_of(path))
                self.assertEqual(answer.body, b"")
                if name != "followEvents":
                    self.assertEqual(answer.status, self.client.get(path_of(path)).status)

    def test_health_needs_no_key_and_the_public_port_has_nothing_else(self):
        self.assertEqual(self.call("getHealth", key="").json, {"status": "ok"})
        self.assertEqual(self.call("getReadiness", key="").json, {"status": "ok"})
        public = Client(node.gateway, node.keys["all"])
        document.check("getHealth", public.get("/healthz"))
        for _, method, path, _, _ in document.operations():
            if path != "/healthz":
                self.assertIn(public.send(method, path_of(path)).status, (404, 405), path)
        public.close()

    def test_answers_come_in_the_order_of_the_requests(self):
        # Every other one is answered only when the workers have acknowledged it.
        paths = [channel("order") + f"/participants/u{n}" for n in range(20)]
        paths[1::2] = [f"/v1/servers/order{n}/channels" for n in range(10)]
        answers = [json.loads(body) for body in self.client.burst("PATCH", paths, b'{"mute":false}')]
        for path, answer in zip(paths, answers):
            self.assertEqual(answer.get("user_id", "405"),
                             path.rsplit("/", 1)[1] if "participants" in path else "405", answer)


class BodiesTest(ApiTest):
    OPERATIONS = {"createJoin": IDS, "changeChannel": {"speakers_max": 5},
                  "moderateParticipant": {"mute": False}, "moveParticipant": {"channel_id": "8"},
                  "makeRecording": {}}

    def test_what_is_no_body(self):
        deep = b'{"grants":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
        wrong = [b"{", b"[]", b"null", b'"text"', b"5", b"{}x", b"{} {}", b"\xef\xbb\xbf{}", b"no",
                 b"{'mute':true}", b'{"mute":true,}', b'{"a":NaN}', b'{"\xff":1}', b'{"a":"\xff"}',
                 b'{"a":"\xed\xa0\x80"}', b'{"a":"\xc0\xaf"}', b'{"a":01}', b'{"a":"\n"}', deep,
                 b"\x00", b'{"a":1}\x00']
        for name in self.OPERATIONS:
            for body in wrong:
                with self.subTest(f"{name} {body[:30]}"):
                    self.problem("bad-request", name, body=body)

    def test_unknown_and_double_members_are_named(self):
        for name, members in self.OPERATIONS.items():
            with self.subTest(name):
                detail = self.problem("bad-request", name, body={**members, "chanel": 1})
                self.assertIn("chanel", detail)
                twice = json.dumps(members)[:-1] + ", " + json.dumps(members)[1:]
                self.problem("bad-request", name, body=twice.encode())

    def test_large_bodies(self):
        for name, members in self.OPERATIONS.items():
            with self.subTest(name):
                body = json.dumps(members).encode()
                answer = self.call(name, body=body + b" " * (65_536 - len(body)))
                self.assertNotEqual(answer.status, 413)
                self.problem("too-large", name, body=body + b" " * (65_537 - len(body)))
                self.problem("too-large", name, body=b" " * 1_000_000)

    def test_types_of_bodies(self):
        for name, members in self.OPERATIONS.items():
            body = json.dumps(members).encode()
            for kind in ("text/plain", "application/jsonp", "application/x-www-form-urlencoded",
                         "json", "application/json-patch+json"):
                with self.subTest(f"{name} {kind}"):
                    self.problem("unsupported-media-type", name, body=body,
                                 headers={"Content-Type": kind})
            for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
                with self.subTest(f"{name} {kind}"):
                    answer = self.call(name, body=body, headers={"Content-Type": kind})
                    self.assertNotEqual(answer.status, 415)

    def test_joins_are_checked(self):
        no_ids = ["", "x" * 65, "a b", "\u00e4", "a\n", "\u007f", 5, None, [], {}, True]
        rows = [({member: value}, member) for member in IDS for value in no_ids]
        rows += [({"session_id": value}, "session_id") for value in no_ids]
        rows += [({"ttl_seconds": value}, "ttl_seconds")
                 for value in (0, -1, 3601, 1.5, "60", True, None, 10**30)]
        rows += [({"grants": value}, "grants") for value in (True, "speak", [], 5)]
        rows += [({"grants": {member: value}}, member)
                 for member in ("speak", "listen", "priority", "require_e2ee")
                 for value in (1, "true", {})]
        rows += [({"grants": {"max_bitrate": value}}, "max_bitrate")
                 for value in (0, -1, 1.5, "9", 10**20)]
        rows += [({"grants": {"late_ms_max": value}}, "late_ms_max")
                 for value in (1, 19, 2001, -1, "120", 20.5)]
        rows += [({"grants": {"sing": True}}, "sing")]
        for change, member in rows:
            with self.subTest(str(change)):
                self.assertIn(member, self.problem("bad-request", "createJoin",
                                                   body={**IDS, **change}))
        for member in IDS:
            body = {name: value for name, value in IDS.items() if name != member}
            self.assertIn(member, self.problem("bad-request", "createJoin", body=body))
        self.problem("bad-request", "createJoin")
        for change in ({"ttl_seconds": 1}, {"ttl_seconds": 3600}, {"session_id": "x" * 64},
                       {"grants": {}}, {"user_id": "~!\"'\\"},
                       {"grants": {"speak": False, "listen": True, "priority": True,
                                   "require_e2ee": False, "max_bitrate": 64_000,
                                   "late_ms_max": 0}}):
            with self.subTest(str(change)):
                answer = self.call("createJoin", body={**IDS, **change})
                self.assertEqual(answer.status, 201)

    def test_settings_are_checked(self):
        rows = [("late_ms_max", value) for value in (1, 19, 2001, -1, 1.5, "120", True, [])]
        rows += [("speakers_max", value) for value in (0, -1, 65, 1.5, "3", False)]
        rows += [("participants_max", value) for value in (0, -1, 0.5, "3", {}, 10**30)]
        for member, value in rows:
            with self.subTest(f"{member} {value}"):
                detail = self.problem("bad-request", "changeChannel", body={member: value})
                self.assertIn(member, detail)

    def test_moderation_is_checked(self):
        for member in ("mute", "deafen"):
            for value in (0, 1, "true", None, [], {}):
                with self.subTest(f"{member} {value}"):
                    self.assertIn(member, self.problem("bad-request", "moderateParticipant",
                                                       body={member: value}))
        for body in ({"channel_id": "a b"}, {"channel_id": 5}, {}, {"channel_id": "8", "x": 1},
                     {"channel_id": "8", "ttl_seconds": 0}, {"channel_id": "8", "session_id": ""},
                     {"channel_id": "8", "grants": {"speak": 1}}):
            with self.subTest(str(body)):
                self.problem("bad-request", "moveParticipant", body=body)

    def test_ids_in_paths(self):
        odd = {"server_id": "%2F", "channel_id": "a%2Fb%25c%3F%23%5B", "user_id": "%2e%2E"}
        answer = self.call("moderateParticipant", odd, body={"mute": True})
        self.assertEqual(answer.json, {"server_id": "/", "channel_id": "a/b%c?#[", "user_id": "..",
                                       "mute": True, "deafen": False, "present": False})
        self.call("moderateParticipant", odd, body={"mute": False})
        plain = {"server_id": "!$&'()*+,;=:@", "channel_id": "%7E", "user_id": "a" * 64}
        answer = self.call("moderateParticipant", plain, body={})
        self.assertEqual(answer.json["server_id"], plain["server_id"])
        self.assertEqual(answer.json["channel_id"], "~")
        for value in ("%", "%2", "%zz", "%00", "%20", "%7F", "%0A", "%C3%A4", "a" * 65, ""):
            for place in IDS:
                for name, method, path, _, parameters in document.operations():
                    if any(p["name"] == place and p["in"] == "path" for p in parameters):
                        with self.subTest(f"{name} {place}={value}"):
                            detail = self.problem("bad-request", name, {place: value})
                            self.assertTrue(detail)


class ChannelsTest(ApiTest):
    def close(self, name, server="1"):
        self.client.send("DELETE", channel(name, server), key=node.keys["all"])

    def test_settings_stay_without_anybody(self):
        ids = {"channel_id": "set"}
        self.addCleanup(self.close, "set")
        self.problem("not-found", "getChannel", ids)
        answer = self.call("changeChannel", ids, body={"late_ms_max": 120, "participants_max": 9})
        settings = {"late_ms_max": 120, "speakers_max": None, "participants_max": 9}
        self.assertEqual(answer.json, {"server_id": "1", "channel_id": "set",
                                       "participants_count": 0, "settings": settings})
        answer = self.call("changeChannel", ids, body={"late_ms_max": None, "speakers_max": 64})
        settings = {"late_ms_max": None, "speakers_max": 64, "participants_max": 9}
        self.assertEqual(answer.json["settings"], settings)
        self.assertEqual(self.call("changeChannel", ids, body={}).json["settings"], settings)
        whole = self.call("getChannel", ids).json
        self.assertEqual((whole["settings"], whole["participants"]), (settings, []))
        self.assertEqual(self.call("listParticipants", ids).json["participants"], [])
        listed = self.call("listServerChannels").json["channels"]
        self.assertIn("set", [c["channel_id"] for c in listed])
        self.assertEqual(self.call("closeChannel", ids).status, 204)
        self.problem("not-found", "getChannel", ids)
        self.problem("not-found", "closeChannel", ids)
        self.problem("not-found", "listParticipants", ids)

    def test_a_full_channel_refuses(self):
        self.addCleanup(self.close, "full")
        self.call("changeChannel", {"channel_id": "full"}, body={"participants_max": 1})
        self.participant(channel_id="full", user_id="first")
        second = Voice(self.join(channel_id="full", user_id="second"))
        self.assertEqual(second.closed_with(), 4021)

    def test_channels_in_pages(self):
        names = [f"page-{n}" for n in (3, 1, 10, 2, 7, 5)]
        for name in names:
            self.call("changeChannel", {"server_id": "p", "channel_id": name},
                      body={"late_ms_max": 0})
            self.addCleanup(self.close, name, "p")
        for operation in ("listServerChannels", "listChannels"):
            for limit in (1, 2, 5, 6, 1000):
                with self.subTest(f"{operation} {limit}"):
                    listed = self.pages(operation, "channels", limit, {"server_id": "p"})
                    found = [c["channel_id"] for c in listed if c["server_id"] == "p"]
                    self.assertEqual(sorted(found), sorted(names))
        self.assertEqual(self.call("listServerChannels", {"server_id": "none"}).json,
                         {"channels": [], "next": None})

    def pages(self, operation, member, limit, ids):
        found, cursor = [], None
        while True:
            query = f"?limit={limit}" + (f"&after={cursor}" if cursor else "")
            page = self.call(operation, ids, query=query).json
            self.assertLessEqual(len(page[member]), limit)
            found += page[member]
            cursor = page["next"]
            if cursor is None:
                return found
            self.assertEqual(len(page[member]), limit)

    def test_pages_are_checked(self):
        self.call("changeChannel", {"channel_id": "checked"}, body={"speakers_max": 1})
        self.addCleanup(self.close, "checked")
        for name, _, _, _, parameters in document.operations():
            if not any(p["name"] == "limit" for p in parameters):
                continue
            for query in ("limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1.5",
                          "limit=99999999999999999999", "limit=%31%30%30%31", "after=%00", "after=!"):
                with self.subTest(f"{name} {query}"):
                    self.problem("bad-request", name, {"channel_id": "checked"}, query="?" + query)
            answer = self.call(name, {"channel_id": "checked"}, query="?limit=%31")
            self.assertEqual(answer.status, 200)


class ParticipantsTest(ApiTest):
    def test_who_is_not_there(self):
        ids = {"channel_id": "empty"}
        for operation in ("getParticipant", "disconnectParticipant"):
            self.problem("not-found", operation, ids)
        self.problem("not-found", "moveParticipant", ids, body={"channel_id": "8"})

    def test_what_is_told_of_a_participant(self):
        join = self.join(channel_id="told", user_id="ada", session_id="s-1",
                         grants={"priority": True, "late_ms_max": 120})
        self.assertEqual((join["guild_id"], join["server_id"], join["channel_id"]),
                         ("1", "1", "told"))
        self.assertEqual((join["user_id"], join["session_id"]), ("ada", "s-1"))
        self.assertEqual(join["endpoint"], node.endpoint)
        self.assertAlmostEqual(join["expires_at"], time.time() + 600, delta=30)
        voice = Voice(join)
        ids = {"channel_id": "told", "user_id": "ada"}
        told = self.call("getParticipant", ids).json
        self.assertEqual(told["ssrc"], voice.ssrc)
        self.assertEqual(told["state"], "live")
        self.assertEqual(told["session_id"], "s-1")
        self.assertEqual(told["mode"], "aead_xchacha20_poly1305_rtpsize")
        self.assertEqual(told["address_family"], "ipv4")
        self.assertEqual((told["mute"], told["deafen"], told["speaking"]), (False,) * 3)
        self.assertEqual(told["grants"]["priority"], True)
        self.assertEqual(told["grants"]["late_ms_max"], 120)
        whole = self.call("getChannel", {"channel_id": "told"}).json
        self.assertEqual([p["user_id"] for p in whole["participants"]], ["ada"])
        self.assertEqual(whole["participants_count"], 1)
        self.assertGreaterEqual(self.call("getNode").json["participants"], 1)

        answer = self.call("moderateParticipant", ids, body={"mute": True})
        self.assertEqual((answer.json["mute"], answer.json["present"]), (True, True))
        answer = self.call("moderateParticipant", ids, body={"deafen": True})
        self.assertEqual((answer.json["mute"], answer.json["deafen"]), (True, True))
        told = self.call("getParticipant", ids).json
        self.assertEqual((told["mute"], told["deafen"]), (True, True))
        voice.leave()
        self.problem("not-found", "getParticipant", ids)
        # It sticks, and nobody has to be there for it.
        answer = self.call("moderateParticipant", ids, body={"mute": False, "deafen": False})
        self.assertEqual(answer.json["present"], False)

    def test_statistics_count_what_is_said(self):
        talks = [node.talk(self.join(channel_id="stats", user_id=user)) for user in "ab"]
        ids = {"channel_id": "stats", "user_id": "a"}
        until = time.monotonic() + 15
        while True:
            told = self.call("getParticipant", ids).json
            statistics = told["statistics"]
            if min(statistics["packets_received"], statistics["packets_sent"]) >= 20:
                break
            self.assertLess(time.monotonic(), until, told)
            time.sleep(0.05)
        self.assertTrue(told["speaking"])
        self.assertGreaterEqual(statistics["packets_forwarded"], 1)
        self.assertGreater(statistics["bytes_received"], statistics["packets_received"])
        for talk in talks:
            self.assertEqual(talk.end(2), 0, talk.text())

    def test_participants_in_pages(self):
        users = ["u3", "u1", "u2", "U1", "~"]
        voices = [self.participant(channel_id="many", user_id=user) for user in users]
        for operation in ("listParticipants", "getChannel"):
            for limit in (1, 2, 4, 5):
                found, cursor = [], None
                while True:
                    query = f"?limit={limit}" + (f"&after={cursor}" if cursor else "")
                    page = self.call(operation, {"channel_id": "many"}, query=query).json
                    found += [p["user_id"] for p in page["participants"]]
                    cursor = page["next"]
                    if cursor is None:
                        break
                self.assertEqual(sorted(found), sorted(users))
        for voice in voices:
            voice.leave()

    def test_a_disconnected_one_does_not_come_back_with_its_token(self):
        voice = self.participant(channel_id="out", user_id="ada")
        ids = {"channel_id": "out", "user_id": "ada"}
        self.assertEqual(self.call("disconnectParticipant", ids).status, 204)
        self.assertEqual(voice.closed_with(), 4014)
        self.problem("not-found", "disconnectParticipant", ids)
        self.assertEqual(Voice(voice.join).closed_with(), 4004)
        self.participant(channel_id="out", user_id="ada").leave()

    def test_a_closed_channel_is_left_by_all(self):
        voices = [self.participant(channel_id="shut", user_id=user) for user in "abc"]
        self.assertEqual(self.call("closeChannel", {"channel_id": "shut"}).status, 204)
        for voice in voices:
            self.assertEqual(voice.closed_with(), 4022)
            self.assertEqual(Voice(voice.join).closed_with(), 4004)
        self.problem("not-found", "getChannel", {"channel_id": "shut"})

    def test_a_move_is_a_new_join(self):
        voice = self.participant(channel_id="from", user_id="ada", grants={"priority": True})
        ids = {"channel_id": "from", "user_id": "ada"}
        self.problem("conflict", "moveParticipant", ids, body={"channel_id": "from"})
        join = self.call("moveParticipant", ids, body={"channel_id": "to"}).json
        self.assertEqual((join["channel_id"], join["user_id"]), ("to", "ada"))
        self.assertNotEqual(join["session_id"], voice.join["session_id"])
        moved = Voice(join)
        self.assertIsNone(moved.code)
        self.assertEqual(voice.closed_with(), 4014)
        told = self.call("getParticipant", {"channel_id": "to", "user_id": "ada"}).json
        self.assertTrue(told["grants"]["priority"])
        self.problem("not-found", "getParticipant", ids)
        self.assertEqual(Voice(voice.join).closed_with(), 4004)
        moved.leave()


class NodeTest(ApiTest):
    def test_the_node_says_what_it_is(self):
        told = self.call("getNode").json
        self.assertEqual(told["gateway"], node.endpoint)
        self.assertEqual(told["media"], f"{node.media[0]}:{node.media[1]}")
        self.assertEqual((told["state"], told["node"], told["cluster"]), ("ready", 0, "earshot"))
        self.assertEqual([worker["worker"] for worker in told["workers"]], [0, 1])

    def test_metrics_are_prometheus_text_and_add_up(self):
        voice = self.participant(channel_id="metrics", user_id="ada")
        voice.media.sendto(b"\x00" * 8, node.media)
        voice.media.sendto(b"nothing that is known", node.media)
        talk = node.talk(self.join(channel_id="metrics", user_id="ben"))
        time.sleep(0.5)
        talk.end(2)
        voice.leave()
        time.sleep(0.1)  # the workers are quiet
        answer = self.call("getMetrics")
        self.assertIn("version=0.0.4", answer.headers["content-type"])
        values, kinds = parse_metrics(answer.body.decode())
        self.assertEqual(values["earshot_ready", ()], 1)
        self.assertTrue(all(kind in ("counter", "gauge") for kind in kinds.values()), kinds)
        for name, kind in kinds.items():
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        for worker in ("0", "1"):
            labels = (("worker", worker),)
            def counter(name):
                return values[f"earshot_worker_{name}_total", labels]
            drops = sum(value for (name, pairs), value in values.items()
                        if name == "earshot_worker_drops_total" and ("worker", worker) in pairs)
            given = counter("received") + counter("taken_over")
            taken = sum(counter(name) for name in ("accepted", "discovery_replies", "keep_alives",
                                                   "leftovers", "rtcp", "handed_over")) + drops
            self.assertEqual(given, taken)
        total = sum(value for (name, _), value in values.items()
                    if name == "earshot_worker_received_total")
        self.assertGreater(total, 10)

    def test_wrong_keys_slow_their_address_down(self):
        stranger = Client(node.admin, "A" * 43, source=STRANGER)
        for _ in range(200):
            answer = stranger.get("/v1/node")
            if answer.status == 429:
                break
            self.assertEqual(answer.status, 401)
        self.assertEqual(answer.code, "too-many-requests", answer)
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        for name, method, path, operation, _ in document.operations():
            if document.scope(operation):
                with self.subTest(name):
                    answer = document.check(name, stranger.send(method, path_of(path)))
                    self.assertEqual(answer.code, "too-many-requests")
        # Nobody else waits for it.
        self.assertEqual(self.call("getNode").status, 200)
        stranger.close()

    def test_a_stream_opens(self):
        stream = Stream(node, "look")
        self.assertEqual(stream.response.headers["Content-Type"].split(";")[0],
                         "text/event-stream")
        document.seen.add(("followEvents", 200, None))
        stream.close()

    def test_without_a_signing_key_there_are_no_joins(self):
        public = "A" * 42 + "A"
        path = f"{node.folder}/public.key"
        with open(path, "w", encoding="ascii") as file:
            file.write(public + "\n")
        other = Node({"tokens.keys": f'[{{ id = "p", alg = "EdDSA", file = "{path}" }}]'})
        client = Client(other.admin, other.keys["all"])
        answer = client.send("POST", "/v1/joins", IDS)
        document.check("createJoin", answer)
        self.assertEqual(answer.code, "no-signing-key")
        client.close()
        other.stop()


class StoppingTest(ApiTest):
    """A node that has been told to stop answers for as long as a client takes to leave."""

    def test_a_stopping_node_is_not_ready(self):
        other = Node()
        client = Client(other.admin, other.keys["all"])
        join = client.send("POST", "/v1/joins", IDS).json
        voice = Voice(join)
        other.process.process.send_signal(15)
        answers = {}
        while other.process.process.poll() is None:
            try:
                ready = client.get("/readyz", key="")
                if ready.status == 200:
                    continue
                answers["getReadiness"] = document.check("getReadiness", ready)
                answers["createJoin"] = document.check(
                    "createJoin", client.send("POST", "/v1/joins", IDS))
                break
            except (OSError, ssl.SSLError):
                break
        self.assertEqual({name: answer.code for name, answer in answers.items()},
                         {"getReadiness": "stopping", "createJoin": "stopping"})
        client.close()
        voice.close()
        other.stop()


class RecordingsTest(ApiTest):
    def test_one_is_made_listed_fetched_and_forgotten(self):
        made = self.call("makeRecording", body={})
        self.assertEqual(made.status, 201, made)
        name = made.json["name"]
        self.assertEqual(made.json["reason"], "asked")
        self.assertIn(made.json, self.call("listRecordings").json["recordings"])
        bytes_of_it = self.call("getRecording", {"recording": name}).body
        self.assertEqual(len(bytes_of_it), made.json["bytes"])
        self.assertTrue(bytes_of_it.startswith(b"EARSHOTR"))
        self.assertEqual(self.call("deleteRecording", {"recording": name}).status, 204)
        for operation in ("getRecording", "deleteRecording"):
            self.problem("not-found", operation, {"recording": name})

    def test_names_are_no_paths(self):
        for name in ("..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "20260101T000000.000Z-..%2Fx.rec", "x.rec"):
            for operation in ("getRecording", "deleteRecording"):
                self.problem("not-found", operation, {"recording": name})
        for operation in ("getRecording", "deleteRecording"):
            self.problem("bad-request", operation, {"recording": "a%20b"})

    def test_in_a_folder_they_are_ours_alone_and_stay(self):
        with tempfile.TemporaryDirectory() as folder:
            other = Node(settings={"recorder.folder": folder})
            try:
                client = Client(other.admin, other.keys["all"])
                name = client.send("POST", "/v1/recordings", {}).json["name"]
                path = os.path.join(folder, name)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                self.assertEqual(os.listdir(folder), [name])
                client.close()
                other.restart()
                client = Client(other.admin, other.keys["all"])
                self.assertEqual([r["name"] for r in client.get("/v1/recordings").json["recordings"]], [name])
                self.assertEqual(client.send("DELETE", f"/v1/recordings/{name}").status, 204)
                self.assertEqual(os.listdir(folder), [])
                client.close()
            finally:
                other.stop()

    def test_without_a_recorder_there_is_nothing_to_keep(self):
        other = Node(settings={"recorder.seconds": 0})
        try:
            client = Client(other.admin, other.keys["all"])
            answer = document.check("makeRecording", client.send("POST", "/v1/recordings", {}))
            self.assertEqual(answer.code, "conflict")
            self.assertEqual(client.get("/v1/recordings").json, {"recordings": []})
            client.close()
        finally:
            other.stop()


class CoverageTest(unittest.TestCase):
    """Runs last: all that the document promises was seen."""

    # (operation, status, code): why not here
    FULL = "it takes 65,536 of them"
    JOIN = "a move makes a join as createJoin does, for somebody who must be there"
    ELSEWHERE = {("changeChannel", 409, "conflict"): FULL,
                 ("moderateParticipant", 409, "conflict"): FULL,
                 ("moveParticipant", 503, "no-signing-key"): JOIN,
                 ("moveParticipant", 503, "stopping"): JOIN}

    def test_every_documented_answer_was_provoked(self):
        missing = {entry for entry in document.expected()
                   if entry not in document.seen and entry not in self.ELSEWHERE}
        self.assertEqual(sorted(map(str, missing)), [])


def load_tests(loader, *_):
    cases = (RoutesTest, BodiesTest, ChannelsTest, ParticipantsTest, NodeTest, RecordingsTest, StoppingTest,
             CoverageTest)
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)


def parse_metrics(text):
    """({(name, labels): value}, {name: type}); fails on what Prometheus would not take."""
    values, kinds = {}, {}
    last = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            last = line.split(" ")[2]
            assert last not in kinds, f"{last} twice"
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == last, line
            kinds[name] = kind
            continue
        found = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:{(.*)})? (\S+)', line)
        assert found and found.group(1) == last, line
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\["\\n])*)"', found.group(2) or "")
        key = (found.group(1), tuple(sorted(pairs)))
        assert key not in values, f"{key} twice"
        values[key] = float(found.group(3))
    return values, kinds


if __name__ == "__main__":
    unittest.main(verbosity=1)
