from django.contrib import admin
from django.urls import path

from club import views

urlpatterns = [
    path("", views.SignUp.as_view(), name="sign-up"),
    path("comment/", views.comment),
    path("talk/", views.talk),
    path("invite", views.invite),
    path("comments", views.add_comment),
    path("welcome/", views.welcome, name="welcome"),
    path("admin/", admin.site.urls),
]
