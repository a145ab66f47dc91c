from django import forms
from django.contrib.auth.forms import UserCreationForm

from caputchin_gate.django import CaptchaField


class SignUpForm(UserCreationForm):
    captcha = CaptchaField()


class CommentForm(forms.Form):
    comment = forms.CharField(min_length=5)
    captcha = CaptchaField()
