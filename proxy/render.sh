#!/bin/sh
# Writes a ready nginx configuration directory from the environment.
#
#   render.sh OUT_DIR        then: nginx -c OUT_DIR/nginx.conf -e stderr -g 'daemon off;'
#
#   INSTANCE_COUNT       how many instances, 1..16
#   INSTANCE_ADDRESSES   their addresses in order of their ids: host:port, separated by commas or spaces; an IPv6
#                        address in brackets. A host name is resolved once, when nginx starts.
#   INSTANCE_SOCKETS     optional: Unix sockets of instances on this machine, in the same order, which nginx takes rather
#                        than their addresses; - for an instance that has none
#   PUBLIC_LISTEN        where Discord's interactions arrive, such as 0.0.0.0:8080
#   OPS_LISTEN           where the operator's pages are, such as 127.0.0.1:8081
#   NGINX_RUN_DIR        a writable directory for nginx's pid and temporary files (absolute)
# Optional:
#   NGINX_MODULE             the njs module's file, default /usr/lib/nginx/modules/ngx_http_js_module.so
#   NGINX_WORKERS            worker processes, 1..64 or auto (default)
#   NGINX_BINARY             asked for its version, default nginx; HTTP/2 is written differently from 1.25.1 on
#   TLS_LISTEN               where HTTPS with HTTP/2 is served besides, such as 0.0.0.0:8443; then both files have to
#                            be there and readable for nginx: TLS_CERTIFICATE (the whole chain) and TLS_CERTIFICATE_KEY
#   REAL_IP_FROM             addresses and networks of the load balancers or tunnels before nginx, which it believes who
#                            the client is, separated by commas or spaces
#   REAL_IP_HEADER           the header they say it in, default X-Forwarded-For
#   PROXY_CLIENT_TIMEOUT_S   how long a client may fall silent in mid-request, 1..60, default 8
#   PROXY_ANSWER_TIMEOUT_MS  how long an instance may take to answer before another one is tried, 100..2900; by
#                            default 2500 for one instance, 1000 for two or three, 600 for more
#
# Exit status: 0 written; 1 the files could not be written; 2 something in the environment is wrong, with every fault on stderr by variable name.
# Needs sh, awk, sed and tr only: the nginx image has no more.
set -u

NGINX_MODULE=${NGINX_MODULE:-/usr/lib/nginx/modules/ngx_http_js_module.so}
NGINX_WORKERS=${NGINX_WORKERS:-auto}
NGINX_BINARY=${NGINX_BINARY:-nginx}
PROXY_CLIENT_TIMEOUT_S=${PROXY_CLIENT_TIMEOUT_S:-8}
TLS_LISTEN=${TLS_LISTEN:-}
REAL_IP_HEADER=${REAL_IP_HEADER:-X-Forwarded-For}
faults=0

fault() {
    printf '%s\n' "$1" >&2
    faults=$((faults + 1))
}

in_range() { # value low high: a plain decimal number within the range
    case $1 in '' | *[!0-9]* | 0?* | ??????*) return 1 ;; esac
    [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

is_address() { # host:port
    case $1 in *:*) ;; *) return 1 ;; esac
    in_range "${1##*:}" 1 65535 || return 1
    case ${1%:*} in
        '' | '[]') return 1 ;;
        \[*\]) case ${1%:*} in \[*[!0-9A-Fa-f:.]*\]) return 1 ;; esac ;;
        *[!0-9A-Za-z._-]*) return 1 ;;
    esac
}

check_quotable() { # variable name, value: nginx reads quotes, backslashes and dollars in a path as its own
    case $2 in *[\"\\\$]* | *'
'*) fault "$1 must not contain a quote, a backslash, a dollar sign or a new line" && return 1 ;; esac
}

check_directory() { # variable name, value
    case $2 in
        /*) ;;
        *) fault "$1 must be an absolute path" && return ;;
    esac
    check_quotable "$1" "$2" || return
    mkdir -p "$2" 2>/dev/null || { fault "$1 can't be created: $2" && return; }
    [ -w "$2" ] || fault "$1 is not writable: $2"
}

check_count_and_addresses() {
    in_range "${INSTANCE_COUNT:-}" 1 16 || fault "INSTANCE_COUNT must be a whole number from 1 to 16"
    INSTANCE_ADDRESSES=$(printf '%s' "${INSTANCE_ADDRESSES:-}" | tr ',\t\n' '   ')
    found=0
    seen=' '
    set -f
    for address in $INSTANCE_ADDRESSES; do
        found=$((found + 1))
        is_address "$address" || fault "INSTANCE_ADDRESSES: '$address' is not host:port"
        case $seen in *" $address "*) fault "INSTANCE_ADDRESSES: '$address' stands there twice" ;; esac
        seen="$seen$address "
    done
    set +f
    if [ "$found" -eq 0 ]; then
        fault "INSTANCE_ADDRESSES is empty: one host:port for each instance"
    elif in_range "${INSTANCE_COUNT:-}" 1 16 && [ "$found" -ne "$INSTANCE_COUNT" ]; then
        fault "INSTANCE_ADDRESSES has $found addresses, but INSTANCE_COUNT is $INSTANCE_COUNT"
    fi
}

check_sockets() {
    INSTANCE_SOCKETS=$(printf '%s' "${INSTANCE_SOCKETS:-}" | tr ',\t\n' '   ')
    given=0
    set -f
    for socket in $INSTANCE_SOCKETS; do
        given=$((given + 1))
        case $socket in
            -) ;;
            *[!A-Za-z0-9_./-]* | [!/]*) fault "INSTANCE_SOCKETS: '$socket' is no absolute path of plain characters" ;;
        esac
    done
    set +f
    [ "$given" -eq 0 ] || [ "$given" -eq "$found" ] ||
        fault "INSTANCE_SOCKETS has $given paths, but INSTANCE_ADDRESSES has $found addresses"
}

check_listen() { # variable name, value
    is_address "$2" || fault "$1 must be address:port, such as 127.0.0.1:8080 or [::1]:8080"
}

check_tls() {
    [ -n "$TLS_LISTEN" ] || return
    check_listen TLS_LISTEN "$TLS_LISTEN"
    [ "$TLS_LISTEN" != "${PUBLIC_LISTEN:-}" ] || fault "TLS_LISTEN must differ from PUBLIC_LISTEN"
    [ "$TLS_LISTEN" != "${OPS_LISTEN:-}" ] || fault "TLS_LISTEN must differ from OPS_LISTEN"
    check_pem TLS_CERTIFICATE "${TLS_CERTIFICATE:-}" CERTIFICATE
    check_pem TLS_CERTIFICATE_KEY "${TLS_CERTIFICATE_KEY:-}" "PRIVATE KEY"
}

check_pem() { # variable name, file, what has to be in it; the file's content is never shown
    case $2 in
        /*) ;;
        *) fault "$1 must be an absolute path" && return ;;
    esac
    check_quotable "$1" "$2" || return
    [ -f "$2" ] || { fault "$1: there is no file $2" && return; }
    [ -r "$2" ] || { fault "$1: user $(id -u) can't read $2" && return; }
    awk -v wanted="$3-----" '/^-----BEGIN / && index($0, wanted) { found = 1 } END { exit !found }' "$2" ||
        fault "$1: no $3 in PEM form is in $2"
}

# Only numbers, dots, colons and a slash reach the configuration; what they mean nginx checks itself.
check_real_ip() {
    REAL_IP_FROM=$(printf '%s' "${REAL_IP_FROM:-}" | tr ',\t\n' '   ')
    set -f
    for network in $REAL_IP_FROM; do
        case $network in
            *[!0-9A-Fa-f.:/]* | /* | */ | */*/*) fault "REAL_IP_FROM: '$network' is no address or network" ;;
            *.*.*.* | *:*:*) ;;
            *) fault "REAL_IP_FROM: '$network' is no address or network" ;;
        esac
    done
    set +f
    case $REAL_IP_HEADER in *[!A-Za-z0-9-]*) fault "REAL_IP_HEADER must be the name of a header" ;; esac
}

# Before 1.25.1 HTTP/2 was a word of `listen`, which later versions warn of; earlier ones don't know the directive.
find_http2() {
    HTTP2=directive
    [ -n "$TLS_LISTEN" ] || return
    version=$("$NGINX_BINARY" -v 2>&1 | sed -n 's|.*/\([0-9.]*\).*|\1|p')
    [ -n "$version" ] || { fault "NGINX_BINARY does not tell its version: $NGINX_BINARY" && return; }
    printf '%s' "$version" | awk -F. '{ exit !($1 * 1000000 + $2 * 1000 + $3 < 1025001) }' && HTTP2=listen
}

# A request may meet N-1 frozen instances before the one that lives, and has to be answered within 3 s all the same.
# Beyond four instances only nginx.conf's retry window bounds it.
set_timeouts() {
    case $INSTANCE_COUNT in
        1) answer=2500 last=2400 ;;
        2 | 3) answer=1000 last=900 ;;
        *) answer=600 last=820 ;;
    esac
    PROXY_LAST_ANSWER_TIMEOUT_MS=${PROXY_ANSWER_TIMEOUT_MS:-$last}
    PROXY_ANSWER_TIMEOUT_MS=${PROXY_ANSWER_TIMEOUT_MS:-$answer}
}

[ $# -eq 1 ] && [ -n "$1" ] || { echo "usage: render.sh OUT_DIR" >&2; exit 2; }
template_dir=$(cd "$(dirname "$0")" && pwd) || exit 2
case $1 in /*) NGINX_CONF_DIR=$1 ;; *) NGINX_CONF_DIR=$PWD/$1 ;; esac

check_count_and_addresses
check_sockets
check_listen PUBLIC_LISTEN "${PUBLIC_LISTEN:-}"
check_listen OPS_LISTEN "${OPS_LISTEN:-}"
[ "${PUBLIC_LISTEN:-}" != "${OPS_LISTEN:-}" ] || [ -z "${OPS_LISTEN:-}" ] ||
    fault "OPS_LISTEN must differ from PUBLIC_LISTEN"
check_directory NGINX_RUN_DIR "${NGINX_RUN_DIR:-}"
check_directory OUT_DIR "$NGINX_CONF_DIR"
[ -r "$NGINX_MODULE" ] || fault "NGINX_MODULE can't be read: $NGINX_MODULE"
[ "$NGINX_WORKERS" = auto ] || in_range "$NGINX_WORKERS" 1 64 || fault "NGINX_WORKERS must be auto or 1 to 64"
in_range "$PROXY_CLIENT_TIMEOUT_S" 1 60 || fault "PROXY_CLIENT_TIMEOUT_S must be a whole number from 1 to 60"
[ -z "${PROXY_ANSWER_TIMEOUT_MS:-}" ] || in_range "$PROXY_ANSWER_TIMEOUT_MS" 100 2900 ||
    fault "PROXY_ANSWER_TIMEOUT_MS must be a whole number from 100 to 2900"
check_tls
check_real_ip
find_http2
[ "$faults" -eq 0 ] || exit 2

set_timeouts
export INSTANCE_COUNT INSTANCE_ADDRESSES INSTANCE_SOCKETS PUBLIC_LISTEN OPS_LISTEN NGINX_RUN_DIR NGINX_CONF_DIR NGINX_MODULE NGINX_WORKERS
TLS_CERTIFICATE=${TLS_CERTIFICATE:-} TLS_CERTIFICATE_KEY=${TLS_CERTIFICATE_KEY:-}
export TLS_LISTEN TLS_CERTIFICATE TLS_CERTIFICATE_KEY HTTP2 REAL_IP_FROM REAL_IP_HEADER
export PROXY_CLIENT_TIMEOUT_S PROXY_ANSWER_TIMEOUT_MS PROXY_LAST_ANSWER_TIMEOUT_MS

# A new file is moved over the old one, so that a running nginx never reloads half of it.
cp "$template_dir/routing.js" "$NGINX_CONF_DIR/routing.js.new" &&
    awk -f "$template_dir/render.awk" "$template_dir/nginx.conf" >"$NGINX_CONF_DIR/nginx.conf.new" &&
    mv "$NGINX_CONF_DIR/routing.js.new" "$NGINX_CONF_DIR/routing.js" &&
    mv "$NGINX_CONF_DIR/nginx.conf.new" "$NGINX_CONF_DIR/nginx.conf"
