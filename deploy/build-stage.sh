#!/bin/sh
# First stage of the image: the virtual environment, from the lock alone. Run in a Debian root with the lock in /build.
set -eu
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
python3 -m venv /opt/grosz
/opt/grosz/bin/python -m pip install -qq --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
  -r /build/requirements.lock
# What installs packages is not needed where nothing is installed any more.
/opt/grosz/bin/python -m pip uninstall -qq -y pip setuptools
