# Fills in the template: ${NAME} is NAME from the environment; ${UPSTREAMS}, ${HOME_LOCATIONS}, ${REAL_IP} and ${TLS} are
# built here.
# Values are put in literally (no gsub: there "&" would have a meaning). A name that is not set is an error.

BEGIN {
    count = split(ENVIRON["INSTANCE_ADDRESSES"], address, " ")
    split(ENVIRON["INSTANCE_SOCKETS"], unix_socket, " ")
}

{
    if ($0 == "${UPSTREAMS}") upstreams()
    else if ($0 == "${HOME_LOCATIONS}") home_locations()
    else if ($0 == "${REAL_IP}") real_ip()
    else if ($0 == "${TLS}") tls()
    else print filled($0)
}

function filled(line,    out, start, end, name) {
    while ((start = index(line, "${")) > 0) {
        end = start + index(substr(line, start), "}") - 1
        name = substr(line, start + 2, end - start - 2)
        if (!(name in ENVIRON)) {
            print "render.awk: nothing to put in for " name > "/dev/stderr"
            exit 1
        }
        out = out substr(line, 1, start - 1) ENVIRON[name]
        line = substr(line, end + 1)
    }
    return out line
}

# The zone shares what is known of the instances among nginx's workers.
function open_upstream(name) {
    printf "    upstream %s {\n        zone %s 128k;\n", name, name
}

# As many idle connections of a worker as it may use at once in a rush: an instance answers many together when they are on
# disk, and whatever comes back beyond this number would be closed, only to be opened again for the next request.
function close_upstream() {
    print "        keepalive 256;\n        keepalive_timeout 60s;\n        keepalive_requests 100000;\n    }"
}

# The stand-bys start with the home's successor, so that the users of several dead homes do not all meet on one instance.
# Neighbours are of different hosts where there are several: a host that is cut off is a black hole for each address of
# it, and a request that met many in a row would run out of its time.
function upstreams(    home) {
    for (home = 1; home <= count; home++) {
        open_upstream("home_" home)
        servers(home, "max_fails=1 fail_timeout=5s", " backup")
        close_upstream()
    }
    one_upstream("any", "max_fails=1 fail_timeout=5s")
    one_upstream("last_resort", "max_fails=0")
}

# All of them, from the home on.
function servers(home, options, others,    step, k, left, host) {
    for (k = 1; k <= count; k++) left[k] = 1
    for (step = 0; step < count; step++) {
        k = step ? successor(home, left, host) : home
        host = host_of(address[k])
        delete left[k]
        printf "        server %s %s%s;\n", place_of(k), options, step ? others : ""
    }
}

# The next one after the home that is left and of another host than the last one; the next one at all if there is none.
function successor(home, left, host,    step, k, next_one) {
    for (step = 1; step < count; step++) {
        k = (home - 1 + step) % count + 1
        if (!(k in left)) continue
        if (host_of(address[k]) != host) return k
        if (!next_one) next_one = k
    }
    return next_one
}

# The way by a socket costs nginx and the instance a fifth less than the one through the network's layers.
function place_of(k) {
    return unix_socket[k] ~ /^\// ? "unix:" unix_socket[k] : address[k]
}

function host_of(place) {
    sub(/:[0-9]+$/, "", place)
    return place
}

function one_upstream(name, options) {
    open_upstream(name)
    servers(1, options, "")
    close_upstream()
}

function home_locations(    home) {
    for (home = 1; home <= count; home++) {
        printf "        location @home_%d {\n            proxy_pass http://home_%d;\n", home, home
        print "            error_page 502 504 = $hand_over;\n        }"
    }
}

# The last address in the header that is none of theirs is the client, whatever the client itself wrote before it.
function real_ip(    network, total, k) {
    total = split(ENVIRON["REAL_IP_FROM"], network, " ")
    for (k = 1; k <= total; k++) printf "    set_real_ip_from %s;\n", network[k]
    if (total > 0) printf "    real_ip_header %s;\n    real_ip_recursive on;\n", ENVIRON["REAL_IP_HEADER"]
}

# Mozilla's intermediate set without DHE (https://ssl-config.mozilla.org): every client of the last ten years. A ticket
# key would live as long as nginx does, so sessions are resumed from the cache only.
function tls(    old) {
    if (ENVIRON["TLS_LISTEN"] == "") return
    old = ENVIRON["HTTP2"] == "listen"
    printf "        listen %s ssl%s;\n", ENVIRON["TLS_LISTEN"], old ? " http2" : ""
    if (!old) print "        http2 on;"
    printf "        ssl_certificate \"%s\";\n", ENVIRON["TLS_CERTIFICATE"]
    printf "        ssl_certificate_key \"%s\";\n", ENVIRON["TLS_CERTIFICATE_KEY"]
    print "        ssl_protocols TLSv1.2 TLSv1.3;"
    print "        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
        "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;"
    print "        ssl_prefer_server_ciphers off;"
    print "        ssl_session_cache shared:tls:5m;"
    print "        ssl_session_timeout 1d;"
    print "        ssl_session_tickets off;"
}
