"""For the tests of the examples: pytest examples/fastapi_signup"""

pytest_plugins = ["caputchin_gate.testing"]
