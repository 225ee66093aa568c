# Every setting of the gateway, with its default. Copy this file to .env, and uncomment and change what you need.
# Each setting can be read from a file instead: NAME_FILE=/run/secrets/name. For more, see docs/configuration.md.

# The settings module: gateway_project.settings.local (manage.py's default) or gateway_project.settings.production
# DJANGO_SETTINGS_MODULE=gateway_project.settings.local

# --- The relay (the first four have the same names in Manage) --------------------------------------------------------
# Host name of the relay namespace, with :port unless it is 443. If empty on a developer's machine: the emulator.
# AZURE_RELAY_NAMESPACE=
# Name of the hybrid connection.
# AZURE_RELAY_HYBRID_CONNECTION=
# Name and key of a shared access policy with the Listen right. If both are empty: Entra ID (DefaultAzureCredential).
# AZURE_RELAY_KEY_NAME=
# AZURE_RELAY_SHARED_ACCESS_KEY=
# Use ws:// instead of wss://. Only for an emulator on a loopback address; production refuses it.
# AZURE_RELAY_PLAIN_WEBSOCKET=False
# How many senders are served at once.
# RELAY_MAX_RENDEZVOUS=64
# How many more senders may wait. Any others are answered with 503.
# RELAY_MAX_WAITING=256
# How long the rendezvous of an HTTP sender stays open for the sender's next request, in seconds.
# RELAY_RENDEZVOUS_IDLE_SECONDS=120
# How often the listener tests its channel by sending itself an echo, in seconds. Needs the Send right. 0: never.
# RELAY_ECHO_SECONDS=60
# How many listeners may share the hybrid connection, 1 to 25. An echo may arrive at any of them.
# RELAY_MAX_LISTENERS=2
# The age in seconds at which a control channel is replaced, without a gap, if no echo can test it: without the Send right.
# RELAY_CHANNEL_MAX_AGE_SECONDS=300
# How long SIGTERM waits for the current senders, in seconds.
# RELAY_STOP_GRACE_SECONDS=20

# --- The worklist ----------------------------------------------------------------------------------------------------
# The AE title that modalities call.
# MWL_AE_TITLE=GATEWAY_MWL
# Address to listen on. If empty: 127.0.0.1 with local settings, 0.0.0.0 in production.
# MWL_HOST=
# Port without TLS. 0: none.
# MWL_PORT=11112
# Port for TLS 1.2 and later, usually 2762. 0: none. Modalities need a certificate issued by one of the authorities in
# MWL_TLS_CLIENT_CA_PATH. The three files are PEM and are read at the start. The key must not be encrypted.
# MWL_TLS_PORT=0
# MWL_TLS_CERTIFICATE_PATH=
# MWL_TLS_KEY_PATH=
# MWL_TLS_CLIENT_CA_PATH=
# Modalities that are not in the admin: accept, warn or reject. If empty: warn; in production reject, once one is there.
# MWL_UNKNOWN_AE_TITLES=
# Reject modalities that call another AE title than MWL_AE_TITLE.
# MWL_CHECK_CALLED_AE_TITLE=False
# How many associations may be open at once, on all ports together and from one address. Any others are rejected.
# MWL_MAX_ASSOCIATIONS=60
# MWL_MAX_ASSOCIATIONS_PER_PEER=50
# An association on which nothing arrives is aborted after this time, in seconds.
# MWL_IDLE_SECONDS=60
# Let several run_mwl_scp on this machine listen on the same port; the limits hold in each of them.
# MWL_SHARE_PORT=False
# The most items in one answer; far above a day's list.
# MWL_MAX_ROWS=5000
# Ignore accents and strokes in names when matching: MULLER also finds MÜLLER.
# MWL_FOLD_ACCENTS=False
# Also find an accession number that a modality sends in RequestedProcedureID, for example from a barcode reader.
# MWL_PROCEDURE_ID_FINDS_ACCESSION=False
# The IssuerOfPatientID to return, such as NHS. If empty: none.
# MWL_ISSUER_OF_PATIENT_ID=
# How long queries and deliveries (who asked for what, and which items were returned) are kept, in days.
# MWL_KEEP_QUERIES_DAYS=30

# --- Images ----------------------------------------------------------------------------------------------------------
# Receive images and send Manage copies: on or off. If empty: on with local settings, or if MANAGE_API_URL is set.
# IMAGES=
# The AE title under which modalities store images.
# IMAGE_AE_TITLE=GATEWAY_IMAGES
# Address to listen on. If empty: 127.0.0.1 with local settings, 0.0.0.0 in production.
# IMAGE_HOST=
# Port without TLS, and port with TLS. 0: none. The three files are as those of MWL_TLS_PORT.
# IMAGE_PORT=11113
# IMAGE_TLS_PORT=0
# IMAGE_TLS_CERTIFICATE_PATH=
# IMAGE_TLS_KEY_PATH=
# IMAGE_TLS_CLIENT_CA_PATH=
# Reject associations that call another AE title.
# IMAGE_CHECK_CALLED_AE_TITLE=False
# Associations at the same time, in all and from one address.
# IMAGE_MAX_ASSOCIATIONS=20
# IMAGE_MAX_ASSOCIATIONS_PER_PEER=10
# Images a second from one address, on average.
# IMAGE_MAX_PER_SECOND_PER_PEER=20
# How long an association may be silent, in seconds.
# IMAGE_IDLE_SECONDS=60
# SOP classes that are taken beside Digital Mammography X-Ray Image Storage.
# IMAGE_TOMOSYNTHESIS=False
# IMAGE_SECONDARY_CAPTURE=False
# The longest data set that is taken, in bytes.
# IMAGE_MAX_BYTES=1073741824
# Where images lie until their copies are with Manage (patient data!). If empty: spool beside manage.py.
# IMAGE_SPOOL_DIR=
# How many bytes stay free on that disk.
# IMAGE_MIN_FREE_BYTES=2147483648
# How long images are kept: after Manage has the copy, if Manage does not get it, and if it belongs to no item.
# IMAGE_KEEP_HOURS=24
# IMAGE_KEEP_FAILED_DAYS=7
# IMAGE_KEEP_UNLINKED_DAYS=7
# For machines without MPPS: complete an item so many minutes after its last image. 0: never.
# IMAGE_COMPLETED_AFTER_MINUTES=0
# The longest side of the copies in pixels, and how far they are compressed.
# IMAGE_PREVIEW_PIXELS=400
# IMAGE_PREVIEW_RATIO=15
# The longest wait between two attempts to send a copy, in seconds.
# IMAGE_RETRY_SECONDS=300
# How long no image of an action must have come before Manage is told of a failure, in seconds.
# IMAGE_FAILURE_DELAY_SECONDS=120
# Where the test machine (in the uploader) finds the two servers. If empty: where they listen, or this machine.
# TEST_MACHINE_MWL_HOST=
# TEST_MACHINE_IMAGE_HOST=
# Their TLS ports, where this process is not told MWL_TLS_PORT and IMAGE_TLS_PORT. Used with the certificate below only.
# TEST_MACHINE_MWL_TLS_PORT=0
# TEST_MACHINE_IMAGE_TLS_PORT=0
# PEM files with which it speaks TLS, as a machine does: its certificate, its key, the authorities of the servers'.
# TEST_MACHINE_TLS_CERTIFICATE_PATH=
# TEST_MACHINE_TLS_KEY_PATH=
# TEST_MACHINE_TLS_SERVER_CA_PATH=
# Address of Manage's API, which ends in /api/v1. If empty on a developer's machine: the emulated Manage.
# MANAGE_API_URL=
# Application ID URI of Manage's API in Entra ID; or a static token, for development only.
# MANAGE_API_RESOURCE=
# MANAGE_API_TOKEN=

# --- The database ----------------------------------------------------------------------------------------------------
# postgres://user:password@host:5432/name or sqlite:////path/to/file. If empty: gateway.sqlite3 beside manage.py.
# Production needs it.
# DATABASE_URL=
# How long to wait for a connection, for a lock, or for other actions to finish with the database. 1 to 12 seconds.
# DATABASE_WAIT_SECONDS=10

# --- The web server --------------------------------------------------------------------------------------------------
# Signs sessions. Production needs 50 characters or more.
# SECRET_KEY=
# Host names of the web server, separated by commas.
# ALLOWED_HOSTS=
# Origins of a proxy in front of it, such as https://gateway.hospital.nhs.uk, separated by commas.
# CSRF_TRUSTED_ORIGINS=
# WEB_HOST=127.0.0.1
# WEB_PORT=8000
# Redirect browsers from http to https (production).
# SECURE_SSL_REDIRECT=True
# Trust X-Forwarded-Proto: https (production). Only behind a proxy that always sets this header itself.
# TRUST_X_FORWARDED_PROTO=False

# --- General ---------------------------------------------------------------------------------------------------------
# The clinic's time zone, for today's date and for the times in DICOM.
# TIME_ZONE=Europe/London
# LOG_LEVEL=INFO
# readable or json. If empty: readable with local settings, json in production.
# LOG_FORMAT=
# Networks that may read /metrics, such as 10.1.2.0/24, separated by commas. This machine always may.
# METRICS_ALLOWED_NETWORKS=
# Where to send OpenTelemetry traces, such as http://collector:4318. If empty: no traces.
# OTEL_EXPORTER_OTLP_ENDPOINT=
# Django's debug pages (local settings only). They show patient data.
# DEBUG=False
# Port of the relay emulator (local settings only).
# RELAY_EMULATOR_PORT=9350
