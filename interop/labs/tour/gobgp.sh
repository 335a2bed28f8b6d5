# Starts GoBGP and gives it its route, which is tried until the server behind the API takes it.
gobgpd -t toml -f /run/lab/gobgp.toml &
until gobgp global rib add -a ipv4 198.51.100.128/26 origin igp 2> /dev/null; do sleep 0.2; done
wait
