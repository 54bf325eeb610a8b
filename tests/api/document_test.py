"""docs/openapi.json is what OpenAPI 3.1 wants, and every example is what its schema wants."""

import re
import unittest

import jsonschema

from lib.document import Document

document = Document()


def walk(value, place="#"):
    yield place, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, f"{place}/{index}")


class DocumentTest(unittest.TestCase):
    def test_references_lead_somewhere(self):
        count = 0
        for place, value in walk(document.root):
            if isinstance(value, dict) and "$ref" in value:
                with self.subTest(place):
                    document.resolve(value)
                    count += 1
        self.assertGreater(count, 100)

    def test_every_component_is_used(self):
        used = {value["$ref"] for _, value in walk(document.root)
                if isinstance(value, dict) and "$ref" in value}
        for kind, components in document.root["components"].items():
            for name in components:
                is_used = f"#/components/{kind}/{name}" in used
                # Every path may answer so, and none says it again; keys are named by `security`.
                is_general = name == "MethodNotAllowed" or kind == "securitySchemes"
                self.assertTrue(is_used or is_general, f"{kind}/{name}")

    def test_schemas_are_schemas(self):
        for name, schema in document.root["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)
                for example in schema.get("examples", []):
                    document.validate(schema, example)

    def test_operations_are_whole(self):
        names = [entry[0] for entry in document.operations()]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), 20)
        for name, _, path, operation, parameters in document.operations():
            with self.subTest(name):
                for member in ("summary", "tags", "responses"):
                    self.assertTrue(operation.get(member))
                in_path = {p["name"] for p in parameters if p["in"] == "path"}
                self.assertEqual(in_path, set(re.findall(r"{(\w+)}", path)))
                self.assertTrue(all(p["required"] for p in parameters if p["in"] == "path"))
                if document.scope(operation):
                    # Every key may list channels; it sees those that are its own.
                    forbidden = set() if operation["operationId"] == "listChannels" else {"403"}
                    self.assertLessEqual({"401", "429"} | forbidden, set(operation["responses"]))
                if "requestBody" in operation:
                    self.assertLessEqual({"400", "413", "415"}, set(operation["responses"]))

    def test_examples_of_bodies_fit(self):
        for name, _, _, operation, _ in document.operations():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                self.assertTrue(content["examples"], name)
                for example in content["examples"].values():
                    document.validate(content["schema"], example["value"])

    def test_schemas_refuse_what_they_should(self):
        def refuses(name, value):
            with self.subTest(f"{name} {value}"), self.assertRaises(jsonschema.ValidationError):
                document.validate({"$ref": f"#/components/schemas/{name}"}, value)
        refuses("Id", "")
        refuses("Id", "a b")
        refuses("Id", "x" * 65)
        refuses("LateMsMax", 19)
        refuses("LateMsMax", 2001)
        refuses("JoinRequest", {"server_id": "1", "channel_id": "7"})
        refuses("ChannelChange", {"other": 1})
        refuses("MutedEvent", {"server_id": "1", "channel_id": "7", "user_id": "u", "at": 1,
                               "mute": True, "deafen": False, "more": 1})
        refuses("LeftEvent", {"server_id": "1", "channel_id": "7", "user_id": "u", "at": 1,
                              "session_id": "s", "reason": "bored", "code": 1000})


if __name__ == "__main__":
    unittest.main(verbosity=2)
