# Every setting of the gateway, with its default. Copy to .env and change what you need; what is commented out is as
# shown. Any of them can be read from a file instead: NAME_FILE=/run/secrets/name. docs/configuration.md says more.

# Which settings: gateway_project.settings.local (manage.py's default) or gateway_project.settings.production
# DJANGO_SETTINGS_MODULE=gateway_project.settings.local

# --- The relay, with the names that Manage uses, too -----------------------------------------------------------------
# Host name of the relay namespace, with :port where it is not 443. Empty on a developer's machine: the emulator.
# AZURE_RELAY_NAMESPACE=
# Name of the hybrid connection in it.
# AZURE_RELAY_HYBRID_CONNECTION=
# Name and key of a shared access policy with the right Listen. Both empty: Entra ID (DefaultAzureCredential).
# AZURE_RELAY_KEY_NAME=
# AZURE_RELAY_SHARED_ACCESS_KEY=
# Speak ws:// instead of wss://: only to an emulator on a loopback address; production refuses it.
# AZURE_RELAY_PLAIN_WEBSOCKET=False
# Senders served at once.
# RELAY_MAX_RENDEZVOUS=64
# Senders that wait for their turn beyond those; more are told 503.
# RELAY_MAX_WAITING=256
# How often the listener proves its channel by an echo to itself, where its policy has Send, too. Seconds; 0: never.
# RELAY_ECHO_SECONDS=60
# Listeners that there may be on the hybrid connection at once, so that an echo may come in at another one. 1 to 25.
# RELAY_MAX_LISTENERS=2
# A control channel that no echo can prove is replaced at this age, without a gap. Seconds.
# RELAY_CHANNEL_MAX_AGE_SECONDS=900
# How long SIGTERM waits for the senders in hand. Seconds.
# RELAY_STOP_GRACE_SECONDS=20

# --- The worklist ----------------------------------------------------------------------------------------------------
# AE title by which modalities call the gateway.
# MWL_AE_TITLE=GATEWAY_MWL
# Address and port to listen on. Empty: 127.0.0.1 with local settings, 0.0.0.0 in production.
# MWL_HOST=
# 0: no port in the clear.
# MWL_PORT=11112
# Port for TLS 1.2 and later, 2762 by custom; 0: none. Modalities need a certificate by one of the authorities in
# MWL_TLS_CLIENT_CA_PATH. The three are PEM files, read at the start; the key is not encrypted.
# MWL_TLS_PORT=0
# MWL_TLS_CERTIFICATE_PATH=
# MWL_TLS_KEY_PATH=
# MWL_TLS_CLIENT_CA_PATH=
# Modalities that are not in the admin: accept, warn or reject. Empty: warn; in production reject, once one is there.
# MWL_UNKNOWN_AE_TITLES=
# Reject whoever calls another AE title than MWL_AE_TITLE.
# MWL_CHECK_CALLED_AE_TITLE=False
# Associations at once, on all ports together, and from one address; more are rejected.
# MWL_MAX_ASSOCIATIONS=60
# MWL_MAX_ASSOCIATIONS_PER_PEER=50
# An association on which nothing comes in is ended after this long. Seconds.
# MWL_IDLE_SECONDS=60
# Items in one answer; far above a day's list.
# MWL_MAX_ROWS=500
# Accents and strokes of names do not count in a query: MULLER finds MÜLLER, too.
# MWL_FOLD_ACCENTS=False
# An accession number that comes in RequestedProcedureID, as from a barcode reader, is found there, too.
# MWL_PROCEDURE_ID_FINDS_ACCESSION=False
# What is returned as IssuerOfPatientID, such as NHS. Empty: nothing.
# MWL_ISSUER_OF_PATIENT_ID=
# How long it is kept who asked for what and was shown whom. Days.
# MWL_KEEP_QUERIES_DAYS=30

# --- The database ----------------------------------------------------------------------------------------------------
# postgres://user:password@host:5432/name or sqlite:////path/to/file. Empty: gateway.sqlite3 beside manage.py; production
# wants it set.
# DATABASE_URL=
# How long to wait for a connection, a lock, or a place at the database. Seconds, 1 to 12.
# DATABASE_WAIT_SECONDS=10

# --- The web server --------------------------------------------------------------------------------------------------
# Signs sessions. Production: 50 characters or more.
# SECRET_KEY=
# Names by which the web server is called, with commas between them.
# ALLOWED_HOSTS=
# Origins of a proxy in front of it, such as https://gateway.hospital.nhs.uk
# CSRF_TRUSTED_ORIGINS=
# WEB_HOST=127.0.0.1
# WEB_PORT=8000
# Send browsers from http to https (production).
# SECURE_SSL_REDIRECT=True
# Believe a proxy that says X-Forwarded-Proto: https (production). Only behind a proxy that sets it itself.
# TRUST_X_FORWARDED_PROTO=False

# --- All of it -------------------------------------------------------------------------------------------------------
# The clinic's time zone: today, and what DICOM's times mean.
# TIME_ZONE=Europe/London
# LOG_LEVEL=INFO
# readable or json. Empty: readable with local settings, json in production.
# LOG_FORMAT=
# Who may read /metrics besides this machine itself: networks such as 10.1.2.0/24, with commas between them.
# METRICS_ALLOWED_NETWORKS=
# Where OpenTelemetry traces go, such as http://collector:4318. Empty: there are none.
# OTEL_EXPORTER_OTLP_ENDPOINT=
# Django's debug pages (local settings only). They show patient data.
# DEBUG=False
# The port of the relay emulator (local settings only).
# RELAY_EMULATOR_PORT=9350
