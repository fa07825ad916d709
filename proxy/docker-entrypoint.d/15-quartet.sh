#!/bin/sh
# For the official nginx image: its entrypoint runs this before nginx, which is then started with
#   nginx -e stderr -c /tmp/quartet/nginx.conf -g 'daemon off;'
# /tmp has to be writable (a tmpfs will do), nothing else has to be. The variables are those of render.sh.
set -eu
conf=${QUARTET_CONF_DIR:-/tmp/quartet}
NGINX_RUN_DIR=${NGINX_RUN_DIR:-$conf/run}
export NGINX_RUN_DIR
exec "${QUARTET_PROXY_DIR:-/opt/quartet/proxy}/render.sh" "$conf"
