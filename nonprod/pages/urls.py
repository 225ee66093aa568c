"""Which address shows what, below /nonprod/."""

from django.urls import path
from django.views.generic import RedirectView

from nonprod.pages import clinic, machine

app_name = "nonprod"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="nonprod:clinic")),
    path("clinic", clinic.clinic, name="clinic"),
    path("clinic/list", clinic.appointment_list, name="appointment_list"),
    path("clinic/again", clinic.new_clinic, name="new_clinic"),
    path("clinic/<int:pk>", clinic.appointment, name="appointment"),
    path("clinic/<int:pk>/send", clinic.send, name="send"),
    path("clinic/<int:pk>/absent", clinic.absent, name="absent"),
    path("modality", machine.console, name="modality"),
    path("modality/verify", machine.verify, name="verify"),
    path("modality/start", machine.start, name="start"),
    path("modality/expose", machine.expose, name="expose"),
    path("modality/finish", machine.finish, name="finish"),
    path("modality/discontinue", machine.discontinue, name="discontinue"),
]
