"""/v1/events: what happens in channels arrives, in order, once, and only where it may."""

import time
import unittest

from lib.client import Client
from lib.document import Document
from lib.events import Stream
from lib.node import Node
from lib.voice import Voice

document = Document()
node = None


def setUpModule():
    global node
    node = Node()


def tearDownModule():
    node.stop()


class EventsTest(unittest.TestCase):
    def setUp(self):
        self.client = Client(node.admin, node.keys["all"])
        self.streams = []
        self.server = self.id().rsplit(".", 1)[-1].removeprefix("test_")

    def tearDown(self):
        self.client.close()
        for stream in self.streams:
            stream.close()
            for event in stream.events:
                document.validate(document.event_schema(event.name), event.data)

    def follow(self, key="all", query=None, **options):
        query = f"?server_id={self.server}" if query is None else query
        self.streams.append(Stream(node, key, query, **options))
        return self.streams[-1]

    def join(self, user="ada", channel="7", **members):
        answer = self.client.send("POST", "/v1/joins", {
            "server_id": self.server, "channel_id": channel, "user_id": user, **members})
        self.assertEqual(answer.status, 201, answer)
        return answer.json

    def participant(self, *arguments, **members):
        voice = Voice(self.join(*arguments, **members))
        self.addCleanup(voice.close)
        self.assertIsNone(voice.code)
        return voice

    def path(self, user="ada", channel="7"):
        return f"/v1/servers/{self.server}/channels/{channel}/participants/{user}"

    def test_a_call_is_told_in_order(self):
        stream = self.follow()
        before = time.time()
        join = self.join(session_id="s-1")
        talk = node.talk(join)
        joined = stream.expect("joined")
        self.assertEqual(joined.data["session_id"], "s-1")
        self.assertAlmostEqual(joined.data["at"] / 1000, before, delta=20)
        speaking = stream.expect("speaking", speaking=True)
        self.assertEqual(speaking.data["ssrc"], joined.data["ssrc"])
        answer = self.client.send("PATCH", self.path(), {"mute": True})
        self.assertEqual(answer.status, 200)
        stream.expect("muted", mute=True, deafen=False)
        # Nothing changes, nothing is told.
        self.client.send("PATCH", self.path(), {"mute": True})
        self.client.send("PATCH", self.path(), {"mute": False, "deafen": True})
        stream.expect("muted", mute=False, deafen=True)
        self.client.send("PATCH", self.path(), {"deafen": False})
        self.assertEqual(talk.end(2), 0, talk.text())
        left = stream.expect("left")
        self.assertEqual((left.data["reason"], left.data["session_id"]), ("disconnected", "s-1"))
        names = [name for name in stream.names() if name != "speaking"]
        self.assertEqual(names, ["joined", "muted", "muted", "muted", "left"])
        # An id is the run of the node and a number that grows.
        run, numbers = joined.id.rsplit("-", 1)[0], []
        for event in stream.events:
            self.assertEqual(event.id.rsplit("-", 1)[0], run)
            numbers.append(int(event.id.rsplit("-", 1)[1]))
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual({event.data["user_id"] for event in stream.events}, {"ada"})

    def test_why_somebody_left(self):
        stream = self.follow()

        def left(user):
            data = stream.expect("left", user_id=user).data
            return data["reason"], data["code"]

        self.participant("kicked")
        self.client.send("DELETE", self.path("kicked"))
        self.assertEqual(left("kicked"), ("kicked", 4014))

        self.participant("twice", session_id="first")
        self.participant("twice", session_id="second")
        self.assertEqual(left("twice"), ("taken_over", 4014))

        self.participant("shut", channel="8")
        self.client.send("DELETE", f"/v1/servers/{self.server}/channels/8")
        self.assertEqual(left("shut"), ("channel_closed", 4022))
        stream.expect("channel_closed", channel_id="8")

        self.participant("odd").send_text("no json")
        self.assertEqual(left("odd"), ("protocol_error", 4002))

        self.participant("away").leave()
        self.assertEqual(left("away")[0], "disconnected")

    def test_speaking_is_told_when_it_changes(self):
        stream = self.follow()
        voice = self.participant()
        voice.speak(1)
        voice.speak(1)
        voice.speak(5)
        voice.speak(0)
        stream.expect("speaking", speaking=False)
        voice.leave()
        stream.expect("left")
        said = [(e.data["speaking"], e.data["flags"]) for e in stream.events if e.name == "speaking"]
        self.assertEqual(said, [(True, 1), (True, 5), (False, 0)])

    def test_a_move_is_told_with_a_token_to_those_who_may(self):
        may, may_not = self.follow("all"), self.follow("look")
        voice = self.participant()
        join = self.client.send("POST", self.path() + "/move", {"channel_id": "8"}).json
        update = may.expect("voice_server_update", user_id="ada")
        for member in ("token", "endpoint", "guild_id", "session_id"):
            self.assertEqual(update.data[member], join[member])
        moved = Voice(join)
        self.assertEqual(voice.closed_with(), 4014)
        for stream in (may, may_not):
            told = stream.expect("moved", user_id="ada")
            self.assertEqual((told.data["from_channel_id"], told.data["to_channel_id"]), ("7", "8"))
            left = stream.expect("left", channel_id="7")
            self.assertEqual((left.data["reason"], left.data["code"]), ("moved", 4014))
            stream.expect("joined", channel_id="8")
        moved.leave()
        may_not.expect("left", channel_id="8")
        self.assertNotIn("voice_server_update", may_not.names())
        # Nor by a replay.
        first = may_not.events[0].id
        again = self.follow("look", last_event_id=first)
        again.expect("left", channel_id="8")
        self.assertNotIn("voice_server_update", again.names())
        again = self.follow("all", last_event_id=first)
        again.expect("voice_server_update")

    def test_channels_are_told(self):
        stream = self.follow()
        path = f"/v1/servers/{self.server}/channels/7"
        self.client.send("PATCH", path, {"late_ms_max": 120})
        settings = stream.expect("channel_updated", channel_id="7").data["settings"]
        self.assertEqual(settings["late_ms_max"], 120)
        self.client.send("DELETE", path)
        stream.expect("channel_closed", channel_id="7")

    def test_who_comes_back_misses_nothing(self):
        stream = self.follow()
        for channel in ("1", "2", "3", "4"):
            self.client.send("PATCH", f"/v1/servers/{self.server}/channels/{channel}",
                             {"speakers_max": 3})
        stream.expect("channel_updated", channel_id="4")
        second = stream.expect("channel_updated", channel_id="2").id
        stream.close()
        for query, options in ((None, {"last_event_id": second}),
                               (f"?server_id={self.server}&last_event_id={second}", {})):
            again = self.follow("look", query, **options)
            again.expect("channel_updated", channel_id="4")
            self.assertEqual([e.data["channel_id"] for e in again.events], ["3", "4"])
            self.assertEqual([e.id for e in again.events], [e.id for e in stream.events[2:]])
        # What comes next, comes once.
        self.client.send("PATCH", f"/v1/servers/{self.server}/channels/5", {"speakers_max": 3})
        again.expect("channel_updated", channel_id="5")
        self.assertEqual([e.data["channel_id"] for e in again.events], ["3", "4", "5"])

    def test_an_id_of_another_run_is_a_gap(self):
        run = self.position_of_a_stream().rsplit("-", 1)[0]
        # What may be missing begins behind the id, or with this run where the id says nothing.
        for last, missed in (("0123abcd-7", "0123abcd-8"), ("nonsense", f"{run}-1"),
                             (f"{run}-99999999", f"{run}-1"), ("x" * 64, f"{run}-1")):
            stream = self.follow(last_event_id=last)
            gap = stream.expect("gap")
            self.assertEqual(gap.data["missed_from"], missed)
            self.assertEqual(gap.data["resumed_at"], f"{run}-1")
            self.assertEqual(stream.events[0].name, "gap")

    def position_of_a_stream(self):
        stream = self.follow()
        until = time.monotonic() + 10
        while stream.position is None and time.monotonic() < until:
            time.sleep(0.01)
        return stream.position

    def test_a_stream_begins_with_its_position(self):
        position = self.position_of_a_stream()
        self.client.send("PATCH", f"/v1/servers/{self.server}/channels/7", {"speakers_max": 3})
        self.follow(last_event_id=position).expect("channel_updated", channel_id="7")

    def test_a_key_of_one_server_hears_of_that_server(self):
        self.server = "1"
        mine, all_of_it = self.follow("look-one", ""), self.follow("look", "")
        for server in ("2", "1"):
            self.client.send("PATCH", f"/v1/servers/{server}/channels/x", {"speakers_max": 2})
            self.client.send("PATCH", f"/v1/servers/{server}/channels/x", {"speakers_max": None})
        all_of_it.expect("channel_updated", server_id="2")
        mine.expect("channel_updated", server_id="1")
        self.assertEqual({event.data["server_id"] for event in mine.events}, {"1"})


class EndsTest(unittest.TestCase):
    """Nodes of their own, which stop."""

    def test_a_stopping_node_says_so(self):
        other = Node()
        client = Client(other.admin, other.keys["all"])
        stream = Stream(other, "look")
        voice = Voice(client.send("POST", "/v1/joins", {
            "server_id": "1", "channel_id": "7", "user_id": "ada"}).json)
        stream.expect("joined")
        last = stream.events[-1].id
        other.process.process.send_signal(15)
        stream.expect("node", state="stopping")
        self.assertEqual(stream.expect("left").data["reason"], "stopping")
        self.assertTrue(stream.ends())
        self.assertEqual(voice.closed_with(), 1001)
        client.close()
        other.restart()
        again = Stream(other, "look", last_event_id=last)
        gap = again.expect("gap")
        run, number = last.rsplit("-", 1)
        self.assertEqual(gap.data["missed_from"], f"{run}-{int(number) + 1}")
        again.close()
        for event in stream.events + again.events:
            document.validate(document.event_schema(event.name), event.data)
        other.stop()


if __name__ == "__main__":
    unittest.main(verbosity=1)
