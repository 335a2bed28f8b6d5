#!/bin/sh
# Installs what `make test`, `make interop` and `make bench` need beside a Rust toolchain: the other BGP daemons, the tools to
# put them into network namespaces, and Python for the scripts. Debian packages only, only those that are missing, and
# nothing that it installs starts by itself. Harmless to run again.
set -eu

# program that shows the package is there, package
wanted='
/usr/lib/frr/bgpd    frr
/usr/share/doc/frr-rpki-rtrlib/copyright frr-rpki-rtrlib
/usr/sbin/bird       bird2
/usr/bin/gobgpd      gobgpd
/usr/bin/gobgp       gobgpd
/usr/sbin/bgpctl     openbgpd
/usr/sbin/exabgp     exabgp
/usr/sbin/pmbgpd     pmacct
/usr/bin/bgpdump     bgpdump
/usr/bin/stayrtr     stayrtr
/usr/bin/prometheus  prometheus
/usr/bin/prometheus-alertmanager prometheus-alertmanager
/usr/sbin/nats-server nats-server
/usr/sbin/ip         iproute2
/usr/bin/taskset     util-linux
/usr/bin/tmux        tmux
/usr/bin/curl        curl
/usr/bin/python3     python3
/usr/lib/python3/dist-packages/yaml/__init__.py python3-yaml
'

missing=$(echo "$wanted" | while read -r file package; do
    [ -z "$file" ] || [ -e "$file" ] || echo "$package"
done | sort -u | tr '\n' ' ')
[ -n "$(echo "$missing" | tr -d ' ')" ] || exit 0

if [ ! -x /usr/bin/apt-get ]; then
    echo "interop/install.sh: no apt-get here; install by hand: $missing" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "interop/install.sh: needs root to install: $missing" >&2
    exit 1
fi

# Debian starts a daemon when its package arrives, unless this file says no (exit code 101).
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$guard"
    chmod 755 "$guard"
    trap 'rm -f "$guard"' EXIT
fi

echo "installing: $missing"
export DEBIAN_FRONTEND=noninteractive
lock='-o DPkg::Lock::Timeout=300'
# shellcheck disable=SC2086  # the words of $lock and $missing are meant to be split
if ! apt-get $lock install -y --no-install-recommends $missing > /tmp/interop-install.$$ 2>&1; then
    # The list of packages is missing or old: fetch it and try once more.
    apt-get $lock update > /tmp/interop-install.$$ 2>&1 || true
    apt-get $lock install -y --no-install-recommends $missing >> /tmp/interop-install.$$ 2>&1 || {
        tail -20 /tmp/interop-install.$$ >&2
        exit 1
    }
fi
rm -f /tmp/interop-install.$$
