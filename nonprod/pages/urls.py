"""Which address shows what, below /nonprod/."""

from django.urls import path
from django.views.generic import RedirectView

from nonprod.pages import clinic, console

app_name = "nonprod"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="nonprod:clinic")),
    path("clinic", clinic.clinic, name="clinic"),
    path("clinic/list", clinic.appointment_list, name="appointment_list"),
    path("clinic/again", clinic.new_clinic, name="new_clinic"),
    path("clinic/<int:pk>", clinic.appointment, name="appointment"),
    path("clinic/<int:pk>/send", clinic.send, name="send"),
    path("clinic/<int:pk>/absent", clinic.absent, name="absent"),
    path("modality", console.console, name="modality"),
    path("modality/verify", console.verify, name="verify"),
    path("modality/start", console.start, name="start"),
    path("modality/expose", console.expose, name="expose"),
    path("modality/finish", console.finish, name="finish"),
    path("modality/discontinue", console.discontinue, name="discontinue"),
]
