"""Guards the POST routes of web applications with a captcha, verified upstream or in process.

    gate = Gate(provider="caputchin", secret=os.environ["CAPUTCHIN_SECRET"], protect=["POST /contact"])
    app = caputchin_gate.asgi.GateMiddleware(app, gate=gate)

Importing this package imports no framework, no HTTP client and no event loop.
"""

from caputchin_gate.config.route_tables import Route
from caputchin_gate.errors import ConfigurationError, GateError
from caputchin_gate.gate import Gate, load_gate
from caputchin_gate.verdict import Decision, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict

__all__ = [
    "ConfigurationError",
    "Decision",
    "Failed",
    "Gate",
    "GateError",
    "Misconfigured",
    "Passed",
    "Reason",
    "Route",
    "Unavailable",
    "Verdict",
    "load_gate",
]
__version__ = "0.1.0"
