# Starts GoBGP and gives it its routes. The first is tried until the server behind the API takes it.
gobgpd -t toml -f /run/lab/gobgp.toml &
add() { gobgp global rib add -a "$@"; }
until add vpnv4 198.51.100.128/26 label 300 rd 64499:1 rt 64499:1 nexthop 192.0.2.14 2> /dev/null; do sleep 0.2; done
add vpnv6 2001:db8:3::/48 label 301 rd 64499:1 rt 64499:1 nexthop 2001:db8::14
add ipv4-mpls 198.51.100.192/26 302 nexthop 192.0.2.14
wait
