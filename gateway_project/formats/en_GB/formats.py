"""British English, with the 24-hour clock and seconds: what is shown is compared with logs and with the machine."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "j M Y H:i:s"
