"""A permission of Django REST framework: `permission_classes = [IsHuman]`.

A view with it is a marked view. Refusals are the framework's own, `permission_denied` with the reason as its code.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import get_language
from rest_framework.permissions import BasePermission

from caputchin_gate.django.current import decision_at_view
from caputchin_gate.marks import MARK, Mark, MarkOptions, mark
from caputchin_gate.refusals import field_text_of


class IsHuman(BasePermission):
    """Allows requests that the gate admits. With options: `IsHuman.asking(action="signup", receipt="2m")`."""

    __caputchin_gate_mark__: Mark = mark(MarkOptions(on_refuse="pass"))

    @classmethod
    def asking(cls, **options: Any) -> type[IsHuman]:
        """The permission with options of a route, and the methods that a token is asked for."""
        return type(cls.__name__, (cls,), {MARK: mark({**options, "on_refuse": "pass"})})

    def has_permission(self, request: Any, view: Any) -> bool:
        decision = self.__caputchin_gate_mark__.decided(
            request.method, decision_at_view(request), type(view).__qualname__
        )
        if not decision.admitted:
            self.message = field_text_of(decision, get_language())
            self.code = decision.reason.value
        return decision.admitted
