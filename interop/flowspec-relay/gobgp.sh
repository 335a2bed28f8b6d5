# Starts GoBGP and gives it its filters. The first is tried until the server behind the API takes it.
gobgpd -t toml -f /run/lab/gobgp.toml &
add() { gobgp global rib add -a "$@"; }
until add ipv4-flowspec match destination 203.0.113.128/25 protocol tcp destination-port '==80' then discard 2> /dev/null
do sleep 0.2; done
add ipv4-flowspec match source 198.51.100.0/24 port '>=1024&<=2048' '==53' then rate-limit 1000000 as 64499
add ipv4-flowspec match destination 203.0.113.7/32 fragment is-fragment then redirect 64499:100
add ipv6-flowspec match destination 2001:db8::/32 protocol udp then mark 46
wait
