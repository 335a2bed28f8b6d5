# Starts GoBGP and gives it its routes. The first is tried until the server behind the API takes it.
gobgpd -t toml -f /run/lab/gobgp.toml &
until gobgp global rib add -a ipv4 198.51.100.64/28 community 64499:1,no-peer large-community 64499:1:2 med 44 origin igp 2> /dev/null; do sleep 0.2; done
gobgp global rib add -a ipv4 198.51.100.80/28 origin incomplete
gobgp global rib add -a ipv6 2001:db8:3:1::/64 nexthop 2001:db8:0:3::2 community 64499:1 med 45 origin igp
gobgp global rib add -a ipv6 2001:db8:3:2::/64 nexthop 2001:db8:0:3::2 origin igp
wait
