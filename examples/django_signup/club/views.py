from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.generic import CreateView

from caputchin_gate.django import require_human
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
    return render(request, "form.html", {"form": form, "comments": comments})


def welcome(request: HttpRequest) -> HttpResponse:
    return render(request, "welcome.html")
