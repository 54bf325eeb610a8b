"""docs/openapi.json: what it says, and whether an answer is what it says."""

import json
import os

import jsonschema

ROOT = os.path.join(os.path.dirname(__file__), "../../..")
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class Document:
    def __init__(self):
        with open(os.path.join(ROOT, "docs/openapi.json"), encoding="utf-8") as file:
            self.root = json.load(file)
        self.resolver = jsonschema.RefResolver("", self.root)
        self.seen = set()  # (operation, status, problem code)

    def resolve(self, value):
        while "$ref" in value:
            value = self.resolver.resolve(value["$ref"])[1]
        return value

    def operations(self):
        """(operation id, METHOD, path, operation, all parameters)"""
        for path, item in self.root["paths"].items():
            for method in METHODS:
                if method in item:
                    operation = item[method]
                    parameters = item.get("parameters", []) + operation.get("parameters", [])
                    yield (operation["operationId"], method.upper(), path, operation,
                           [self.resolve(parameter) for parameter in parameters])

    def operation(self, name):
        return next(entry for entry in self.operations() if entry[0] == name)

    def scope(self, operation):
        """None where no key is needed."""
        security = operation.get("security", self.root["security"])
        return security[0]["key"][0] if security else None

    def validate(self, schema, value):
        jsonschema.Draft202012Validator(schema, resolver=self.resolver).validate(value)

    def event_schema(self, name):
        response = self.operation("followEvents")[3]["responses"]["200"]
        return response["x-events"][name]

    def check_response(self, response, answer):
        """`answer` has the headers, the type and the body of `response`."""
        for name, header in response.get("headers", {}).items():
            value = answer.headers.get(name.lower())
            assert value is not None or not header.get("required"), f"no {name} in {answer}"
            self.validate(header["schema"], value)
        content = response.get("content", {})
        if not content:
            assert answer.body == b"", answer
            return
        assert answer.type in content, f"{answer.type} instead of {list(content)}: {answer}"
        if answer.type.endswith("json"):
            self.validate(content[answer.type]["schema"], answer.json)
            if answer.code:
                assert answer.json["status"] == answer.status, answer

    def check(self, name, answer):
        """`answer` is one that the operation may give. Returns it."""
        responses = self.operation(name)[3]["responses"]
        assert str(answer.status) in responses, f"{name} does not tell of this: {answer}"
        self.check_response(self.resolve(responses[str(answer.status)]), answer)
        self.seen.add((name, answer.status, answer.code))
        return answer

    def expected(self):
        """Every (operation, status, problem code) that the document promises."""
        for name, _, _, operation, _ in self.operations():
            for status, response in operation["responses"].items():
                for code in self.codes(self.resolve(response)) or [None]:
                    yield name, int(status), code

    def codes(self, response):
        problem = response.get("content", {}).get("application/problem+json")
        if not problem:
            return []
        kinds = problem["schema"]["allOf"][1]["properties"]["type"]
        return [kind.rsplit(":", 1)[-1] for kind in kinds.get("enum", [kinds.get("const")])]
