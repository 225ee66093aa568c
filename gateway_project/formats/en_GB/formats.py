"""British formats, with the 24-hour clock and seconds, so that pages can be compared with logs and machines."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "j M Y H:i:s"
