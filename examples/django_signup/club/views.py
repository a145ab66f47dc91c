import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST
from django.views.generic import CreateView

from caputchin_gate.django import decision_of, require_human
from club.forms import CommentForm, SignUpForm

comments: list[str] = []


# The form shows a refusal among its mistakes: on_refuse="pass" lets the view run. Who was verified and then mistyped
# something need not be verified again: the receipt admits what is sent next.
@method_decorator(require_human(on_refuse="pass", receipt="2m"), name="dispatch")
class SignUp(CreateView):
    form_class = SignUpForm
    template_name = "form.html"
    success_url = reverse_lazy("welcome")


# The same without a mark: the field has the token verified by itself. Each try needs a token of its own.
def comment(request: HttpRequest) -> HttpResponse:
    form = CommentForm(request.POST or None)
    if form.is_valid():
        comments.append(form.cleaned_data["comment"])
        form = CommentForm()
    return render(request, "form.html", {"heading": "Comment", "form": form, "comments": comments})


def talk(request: HttpRequest) -> HttpResponse:
    return render(request, "talk.html", {"comments": comments})


# By htmx, without a receipt: the answer is the form itself, new, and the widget gets a new token for it.
@require_POST
@require_human(on_refuse="pass")
def invite(request: HttpRequest) -> HttpResponse:
    friend = request.POST.get("friend", "")
    decision = decision_of(request)
    if decision is None or not decision.admitted:
        said = "We could not tell you from a robot. Please send the form once more."
    elif "@" not in friend:
        said = "An e-mail address has an @."
    else:
        said, friend = f"{friend} is invited.", ""
    return render(request, "invitation.html", {"friend": friend, "said": said})


# For a page that sends JSON with fetch. Refusals need nothing here: the gate answers before, with a problem document.
@require_POST
@require_human
def add_comment(request: HttpRequest) -> HttpResponse:
    comments.append(json.loads(request.body)["text"])
    return JsonResponse({"comments": len(comments)})


def welcome(request: HttpRequest) -> HttpResponse:
    return render(request, "welcome.html")
