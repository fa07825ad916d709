#!/bin/sh
# For the official nginx image: its entrypoint runs this before nginx, which then starts with
#   nginx -e stderr -c /tmp/quartet/nginx.conf -g 'daemon off;'
# /tmp has to be writable (a tmpfs will do); nothing else has to be. See render.sh for the variables.
set -eu
NGINX_RUN_DIR=${NGINX_RUN_DIR:-/tmp/quartet}
export NGINX_RUN_DIR
exec "${QUARTET_PROXY_DIR:-/opt/quartet/proxy}/render.sh" /tmp/quartet
