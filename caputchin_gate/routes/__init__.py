"""Routes: which rule guards a request, if any.

target -> views (target_views.py) -> rules whose path matches a view (path_patterns.py) -> those for its method
(methods.py), all in table.py
"""

from caputchin_gate.routes.table import Ambiguous, Exempt, Reading, RouteTable, Rule

__all__ = ["Ambiguous", "Exempt", "Reading", "RouteTable", "Rule"]
