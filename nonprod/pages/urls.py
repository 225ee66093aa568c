"""The URLs below /nonprod/."""

from django.urls import path
from django.views.generic import RedirectView

from nonprod.pages import clinic, manage_api, modality_console

app_name = "nonprod"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="nonprod:clinic")),
    path("clinic", clinic.clinic, name="clinic"),
    path("clinic/list", clinic.appointment_list, name="appointment_list"),
    path("clinic/again", clinic.new_clinic, name="new_clinic"),
    path("clinic/<int:pk>", clinic.appointment, name="appointment"),
    path("clinic/pictures/<int:pk>", clinic.picture, name="picture"),
    path("clinic/<int:pk>/send", clinic.send, name="send"),
    path("clinic/<int:pk>/absent", clinic.absent, name="absent"),
    path("manage/api/v1/dicom/<str:action_id>", manage_api.put_image, name="put_image"),
    path("manage/api/v1/dicom/<str:action_id>/failure", manage_api.report_failure, name="report_failure"),
    path("manage/faults", manage_api.faults, name="manage_faults"),
    path("modality", modality_console.console, name="modality"),
    path("modality/verify", modality_console.verify, name="verify"),
    path("modality/start", modality_console.start, name="start"),
    path("modality/expose", modality_console.expose, name="expose"),
    path("modality/finish", modality_console.finish, name="finish"),
    path("modality/discontinue", modality_console.discontinue, name="discontinue"),
]
