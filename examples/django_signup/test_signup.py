"""python manage.py test"""

from club.views import comments
from django.contrib.auth.models import User
from django.test import TestCase

from caputchin_gate.django import site_gate
from caputchin_gate.testing import Captcha

ANN = {"username": "ann", "password1": "correct horse battery", "password2": "correct horse battery"}


class FormsTest(TestCase):
    def setUp(self) -> None:
        comments.clear()
        self.captcha = self.enterContext(Captcha(site_gate()))

    def test_who_signs_up_is_a_member(self) -> None:
        self.captcha.passes()
        self.assertRedirects(self.client.post("/", ANN), "/welcome/")
        assert User.objects.filter(username="ann").exists()

    def test_a_robot_sees_the_form_again(self) -> None:
        self.captcha.fails("token-expired")
        answer = self.client.post("/", ANN)
        assert "captcha" in answer.context["form"].errors
        assert not User.objects.exists()

    def test_a_mistake_is_corrected_with_the_receipt(self) -> None:
        mistyped = self.client.post("/", {**ANN, "password2": "correct horse", **self.captcha.fields()})
        assert set(mistyped.context["form"].errors) == {"password2"}
        self.assertRedirects(self.client.post("/", ANN), "/welcome/")

    def test_a_comment_needs_a_token_of_its_own(self) -> None:
        data = {"comment": "It was lovely", **self.captcha.fields()}
        self.client.post("/comment/", data)
        self.client.post("/comment/", data)
        assert comments == ["It was lovely"]

    def test_nobody_tries_passwords_by_machine(self) -> None:
        User.objects.create_superuser("root", password="correct horse battery")
        login = {"username": "root", "password": "correct horse battery"}
        self.client.post("/admin/login/", login)
        assert "_auth_user_id" not in self.client.session
        self.client.post("/admin/login/", {**login, **self.captcha.fields()})
        assert "_auth_user_id" in self.client.session
