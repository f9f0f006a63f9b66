#!/bin/sh
# Second stage of the image: Python without tools, a user without rights, bytecode made once. Expects /opt/grosz and /app.
set -eu
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3-minimal libpython3-stdlib >/dev/null
rm -rf /var/lib/apt/lists/*
groupadd --gid 10001 grosz
useradd --uid 10001 --gid grosz --no-create-home --home-dir /var/lib/grosz --shell /usr/sbin/nologin grosz
install -d -o grosz -g grosz -m 0700 /var/lib/grosz
/opt/grosz/bin/python -m compileall -q /app
